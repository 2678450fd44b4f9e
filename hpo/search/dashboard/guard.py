"""Who may use the dashboard: pages of its own address only, and outside this machine only who has the token."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

ALIVE = "/hpo/alive"
"""Path that answers without a token, for health checks."""

_PARAMETER = "token"

_HEADERS = [
    # No other page may show this one in a frame, to have its buttons clicked.
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
]


@dataclass(frozen=True)
class Guard:
    """What a request must show.

    Attributes:
        names: names under which the dashboard may be addressed, in lower case.
        any_address: whether any IP address is allowed too; else only those of loopback are.
        token: secret that a request must show; "" for none.
    """

    names: frozenset[str]
    any_address: bool = False
    token: str = ""

    @property
    def cookie(self) -> str:
        """Name of the cookie that keeps the token; browsers share cookies among all ports of a host."""
        return f"hpo_dashboard_{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header, with or without a port, is one of this dashboard.

        Another name means that a web page elsewhere had its own name resolved to this address (DNS rebinding). Ports
        differ behind `ssh -L`.
        """
        name = _hostname(host)
        if name in self.names or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback

    def allows_origin(self, origin: str | None, host: str) -> bool:
        """Return whether the page that sent the request is one of this dashboard; browsers say so in Origin."""
        return origin is None or origin.partition("://")[2].lower() == host.lower()

    def knows(self, shown: str) -> bool:
        """Return whether this is the token."""
        return secrets.compare_digest(shown.encode(), self.token.encode())


def new_token() -> str:
    """Return a secret that cannot be guessed."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Return whether every address of a host is on this machine's loopback.

    Raises:
        OSError: if the host has no address.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def own_names(host: str) -> frozenset[str]:
    """Return the names of this machine, of its loopback, and `host`."""
    names = {"localhost", host, socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower().rstrip(".") for name in names if name)


def guarded(pages: WSGIApplication, guard: Guard) -> WSGIApplication:
    """Wrap an application to refuse requests that `guard` does not allow."""

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        def starting(status: str, headers: Headers, error: OptExcInfo | None = None, /) -> Callable[[bytes], object]:
            return start(status, [*headers, *_HEADERS], error)

        host, path = environment.get("HTTP_HOST", ""), environment["PATH_INFO"]
        if not guard.allows_host(host):
            return refuse(environment, starting, "403 Forbidden", _other_name(host, environment["SERVER_PORT"]))
        if not guard.allows_origin(environment.get("HTTP_ORIGIN"), host):
            return refuse(environment, starting, "403 Forbidden", "requests from pages of other sites are refused")
        if path == ALIVE:
            return _send(starting, "200 OK", "text/plain", b"alive\n")
        shown = (_cookie(environment, guard.cookie), environment.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer "))
        if guard.token and not any(guard.knows(one) for one in shown):
            return _first_visit(environment, starting, guard)
        return pages(environment, starting)

    return answer


def refuse(environment: WSGIEnvironment, start: StartResponse, status: str, reason: str) -> list[bytes]:
    """Answer with a sentence: as JSON below /api/, as optuna-dashboard does, else as text."""
    if environment["PATH_INFO"].startswith("/api/"):
        return _send(start, status, "application/json", json.dumps({"reason": reason}).encode())
    return _send(start, status, "text/plain; charset=utf-8", f"{reason}\n".encode())


def _first_visit(environment: WSGIEnvironment, start: StartResponse, guard: Guard) -> list[bytes]:
    """Keep a right token of the address as a cookie, and open the address without it; else ask for it."""
    parameters = parse_qsl(environment.get("QUERY_STRING", ""), keep_blank_values=True)
    if not any(name == _PARAMETER and guard.knows(value) for name, value in parameters):
        reason = f"open the address that `hpo dashboard` printed: it ends with ?{_PARAMETER}=..."
        return refuse(environment, start, "401 Unauthorized", reason)
    rest = urlencode([(name, value) for name, value in parameters if name != _PARAMETER])
    # One slash: an address that begins with two leads to another host.
    place = "/" + quote(environment["PATH_INFO"].lstrip("/")) + (f"?{rest}" if rest else "")
    # A token that somebody chose may have blanks, or letters that no cookie holds.
    cookie = f"{guard.cookie}={quote(guard.token, safe='')}; HttpOnly; Path=/; SameSite=Lax"
    start("302 Found", [("Location", place), ("Set-Cookie", cookie), ("Content-Length", "0")])
    return []


def _send(start: StartResponse, status: str, kind: str, body: bytes) -> list[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _other_name(host: str, port: str) -> str:
    return (
        f"this dashboard does not answer to the name {_hostname(host)!r}; open http://localhost:{port}, or the "
        "address that `hpo dashboard` printed"
    )


def _hostname(host: str) -> str:
    """Return the name in a Host header, without port and brackets; "" if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _cookie(environment: WSGIEnvironment, name: str) -> str:
    try:
        found = SimpleCookie(environment.get("HTTP_COOKIE", "")).get(name)
    except CookieError:
        return ""
    return unquote(found.value) if found is not None else ""
