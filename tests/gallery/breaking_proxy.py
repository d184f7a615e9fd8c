"""A relay on loopback that breaks the connection between a commit and its acknowledgement."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"  # PostgreSQL's CommandComplete of a commit


class BreakingProxy:
    """Relays to a port; breaks off, once for each time it is armed, where COMMITTED comes back."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.armed = 0
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
                    threading.Thread(
                        target=self._relay, args=(source, sink, source is server), daemon=True
                    ).start()

    def _relay(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self.armed and COMMITTED in data:
                    self.armed -= 1
                    self.broken += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
