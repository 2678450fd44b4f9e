"""A TCP proxy before a database server that can fall silent, or cut a connection at a chosen message."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

_ENCRYPTION_REQUESTS = (80877103, 80877104)  # SSLRequest, GSSENCRequest


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on, until told otherwise.

    silent: takes connections and bytes, passes none on. away: refuses all connections for a while. cut_answer: called
    with what a client sent; true means that the server gets it, and the client a closed connection in place of the
    answer. refusals: SQLSTATEs with which it refuses the next connections, as a PostgreSQL that speaks German.
    """

    def __init__(self, host: str, port: int) -> None:
        self.silent = threading.Event()
        self.cut_answer: Callable[[bytes], bool] = lambda _: False
        self.refusals: list[str] = []
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._away = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it with all connections."""
        self._over.set()
        for each in (self._listener, *self._open):
            _close(each)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Close all connections, and each new one at once, as if the server were down."""
        self._away.set()
        for each in self._open:
            _close(each)
        try:
            yield
        finally:
            self._away.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refusals:
                    threading.Thread(target=_refuse, args=(client, self.refusals.pop(0)), daemon=True).start()
                    continue
                server = self._reached()
                if server is None:
                    _close(client)
                    continue
                self._open += [client, server]
                cut = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, cut), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, cut), daemon=True).start()

    def _reached(self) -> socket.socket | None:
        """Connect to the server; None if it is down."""
        if self._away.is_set():
            return None
        try:
            return socket.create_connection(self._target)
        except OSError:
            return None

    def _ask(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        for sent in self._bytes_from(client):
            if self.cut_answer(sent):
                cut.set()
            with contextlib.suppress(OSError):
                server.sendall(sent)
        _close(server)

    def _answer(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        for answer in self._bytes_from(server):
            if cut.is_set():
                break
            with contextlib.suppress(OSError):
                client.sendall(answer)
        _close(client)
        _close(server)

    def _bytes_from(self, source: socket.socket) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                while self.silent.is_set() and not self._over.is_set():
                    self._over.wait(0.02)
                yield received


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def _refuse(client: socket.socket, sqlstate: str) -> None:
    """Answer a connection's start as PostgreSQL does when it refuses: protocol 3.0, messages ErrorResponse and `N`."""
    with client, client.makefile("rb") as sent, contextlib.suppress(OSError, struct.error):
        while True:
            length, code = struct.unpack("!ii", sent.read(8))
            sent.read(length - 8)
            if code not in _ENCRYPTION_REQUESTS:
                break
            client.sendall(b"N")
        texts = ("SSCHWERWIEGEND", "VFATAL", f"C{sqlstate}", "MÜbersetzte Meldung, die niemandem etwas sagt", "")
        fields = b"".join(text.encode() + b"\0" for text in texts)
        client.sendall(b"E" + struct.pack("!i", 4 + len(fields)) + fields)
