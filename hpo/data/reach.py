"""Find out in bounded time whether the server of a web address can be reached."""

from __future__ import annotations

import queue
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

_PORTS = {"http": 80, "https": 443}

_Address = tuple[int, int, int, str, Any]
"""As `socket.getaddrinfo` returns it."""


def unreachable(url: str, seconds: float, slow: float, say_slow: Callable[[], None]) -> str | None:
    """Return why no connection to the server of a web address, or to the proxy before it, can be made; None if one can.

    All addresses of the server are tried at once, so that a broken IPv6 does not hide a working IPv4.

    Args:
        seconds: after which there is no network.
        slow: seconds after which `say_slow` is called, if there is no answer by then.
    """
    host, port = _server(url)
    # Of each thread one: the addresses to connect to, why that failed, or None for a connection that was made.
    answers: queue.SimpleQueue[list[_Address] | str | None] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(f"{host}: {error.strerror or error}")

    def connect(address: _Address) -> None:
        try:
            with socket.socket(*address[:3]) as connection:
                connection.settimeout(seconds)
                connection.connect(address[4])
        except OSError as error:
            answers.put(f"{host}: {error.strerror or error}")
        else:
            answers.put(None)

    def begin(work: Callable[..., None], *arguments: Any) -> None:
        # A name server that is silent blocks for longer than any timeout of a socket, and a thread cannot be killed; a
        # daemon thread does not keep the process alive.
        threading.Thread(target=work, args=arguments, daemon=True).start()

    begin(look_up)
    began, reason, was_slow = time.monotonic(), None, False
    waiting = 1  # threads that have not answered
    while waiting:
        left = began + (seconds if was_slow else slow) - time.monotonic()
        try:
            answer = answers.get(timeout=max(0.0, left))
        except queue.Empty:
            if was_slow:
                break
            was_slow = True
            say_slow()
            continue
        waiting -= 1
        if answer is None:
            return None
        if isinstance(answer, str):
            reason = answer
            continue
        waiting += len(answer)
        for address in answer:
            begin(connect, address)
    return reason or f"{host} does not answer within {seconds:g} s"


def _server(url: str) -> tuple[str, int]:
    """Return host and port that a request of a web address connects to: its server, or the proxy for it."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        host = parts.hostname or ""
    return host, parts.port or _PORTS.get(parts.scheme, 80)
