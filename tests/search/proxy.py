"""A TCP proxy before a database server that can fall silent, or cut a connection at a chosen message."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on, until told otherwise.

    silent: takes connections and bytes, passes none on. cut_answer: called with what a client sent; true means that
    the server gets it, and the client a closed connection in place of the answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self.silent = threading.Event()
        self.cut_answer: Callable[[bytes], bool] = lambda _: False
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
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
        self._over.set()
        for each in (self._listener, *self._open):
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                cut = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, cut), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, cut), daemon=True).start()

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
