"""A relay on loopback that breaks the connection at a commit, or before its acknowledgement."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # PostgreSQL's Query
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"  # and the CommandComplete that answers it


class BreakingProxy:
    """Relays to a port; breaks off where one of the words in ``armed`` comes by, once for each."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.armed: list[bytes] = []
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                word = next((word for word in self.armed if word in data), None)
                if word is not None:
                    self.armed.remove(word)
                    self.broken += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
