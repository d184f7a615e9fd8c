"""A real HTTP server on loopback that misbehaves as told, one behaviour a request."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """How one request is answered.

    Attributes:
        status: an error's, instead of the file.
        headers: more of them.
        content: another file than the server's.
        cut: bytes of the body after which the connection breaks.
        ranges: whether Range is honoured.
        etag: version of the file; empty for none.
        sized: whether Content-Length is sent.
        shift: how far the part that is sent lies from the one that was asked for.
        stall: seconds of silence before the body.
        pace: seconds between two pieces of the body.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    cut: int | None = None
    ranges: bool = True
    etag: str = '"one"'
    sized: bool = True
    shift: int = 0
    stall: float = 0.0
    pace: float = 0.0


@dataclass
class FileServer:
    """What is served, how, and what was asked.

    Attributes:
        content: the file, at every path.
        url: address of the file.
        script: behaviour of the first requests; later ones are answered well.
        asked: headers of each request, and its line under "line".
    """

    content: bytes
    url: str = ""
    script: list[Behaviour] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


def handler_for(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            server.asked.append({**dict(self.headers), "line": self.requestline})
            behaviour = server.script.pop(0) if server.script else Behaviour()
            try:
                self.answer(behaviour)
            except OSError:  # the client has gone, as some tests have it do
                self.close_connection = True

        def answer(self, behaviour: Behaviour) -> None:
            if behaviour.status != 200:
                self.send_response(behaviour.status)
                for name, value in behaviour.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = server.content if behaviour.content is None else behaviour.content
            start, status = 0, 200
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            unchanged = self.headers.get("If-Range") in (None, behaviour.etag)
            if asked and behaviour.ranges and unchanged:
                start, status = int(asked[1]), 206
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start += behaviour.shift
            self.send_response(status)
            if status == 206:
                span = f"bytes {start}-{len(body) - 1}/{len(body)}"
                self.send_header("Content-Range", span)
            if behaviour.sized:
                self.send_header("Content-Length", str(len(body) - start))
            if behaviour.etag:
                self.send_header("ETag", behaviour.etag)
            for name, value in behaviour.headers.items():
                self.send_header(name, value)
            self.end_headers()
            time.sleep(behaviour.stall)
            body = body[start:]
            if behaviour.cut is not None:
                body = body[: behaviour.cut]
            pieces = 5 if behaviour.pace else 1
            for piece in range(pieces):
                self.wfile.write(
                    body[piece * len(body) // pieces : (piece + 1) * len(body) // pieces]
                )
                time.sleep(behaviour.pace)
            if behaviour.cut is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    return Handler


@contextmanager
def serving(content: bytes, name: str = "net.bin") -> Iterator[FileServer]:
    server = FileServer(content)
    engine = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(server))
    engine.daemon_threads = True
    server.url = f"http://127.0.0.1:{engine.server_port}/{name}"
    thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        engine.shutdown()
        engine.server_close()
        thread.join()
