"""A real HTTP server on this machine that behaves as badly as the internet does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Faults:
    """What goes wrong at one request.

    cut_at: bytes sent before the connection is cut. hold: waited for before the last byte.
    """

    cut_at: int | None = None
    status: int | None = None
    ignores_range: bool = False
    claimed_length: int | None = None
    names_length: bool = True
    hold: threading.Event | None = None


@dataclass
class Server:
    """content: what is served. faults: of the next requests, in order; later requests are served well."""

    content: bytes
    faults: list[Faults] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(content: bytes, *faults: Faults) -> Iterator[Server]:
    """A server of `content` at `server.url`; `server.ranges` is the Range header of each request so far."""
    server = Server(content, list(faults))
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{http_server.server_port}/file.npz"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.ranges.append(asked)
            faults = server.faults.pop(0) if server.faults else Faults()
            if faults.status:
                self.send_error(faults.status)
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and not faults.ignores_range else 0
            if start and start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
            self._send(server.content, start, faults)

        def _send(self, content: bytes, start: int, faults: Faults) -> None:
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if faults.names_length:
                self.send_header("Content-Length", str(faults.claimed_length or len(content) - start))
            self.end_headers()
            body = content[start : faults.cut_at]
            if faults.hold:
                self.wfile.write(body[:-1])
                faults.hold.wait(300)
                body = body[-1:]
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
