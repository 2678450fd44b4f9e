"""Serve optuna-dashboard for a database."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hpo.errors import UsageError, first_line
from hpo.search.dashboard.guard import Guard, guarded, is_loopback, new_token, own_names
from hpo.search.dashboard.pictures import Draw
from hpo.search.database.database import Database
from hpo.search.study import Study

_log = logging.getLogger(__name__)

_EVERY_ADDRESS = ("0.0.0.0", "::")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Log a connection that failed in one line."""
        error = sys.exc_info()[1]
        _log.info("a connection failed: %s", first_line(error) if error is not None else "")


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a line for each poll of the page would be noise."""


def serve_dashboard(
    database: Database,
    study: Study | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    on_ready: Callable[[str], None] = lambda _: None,
    on_server: Callable[[WSGIServer], None] = lambda _: None,
    read_only: bool = False,
    *,
    draw: Draw,
    token: str = "",
) -> None:
    """Serve the dashboard until interrupted.

    Requests that name another host, or come from a page of another site, are refused.

    Args:
        study: the study to open on; None for the list of all.
        host: address to listen on.
        port: 0 for any free port.
        on_ready: called with the URL, which has the token where one is needed.
        on_server: called with the server, whose `shutdown` ends this function.
        read_only: whether to refuse requests that would change a study.
        draw: draws the figures of studies and trials.
        token: secret that the first visit must show; "" for a new one, or for none on this machine's loopback.

    Raises:
        UsageError: if the port is taken, or the host is not an address of this machine.
    """
    if not host.strip():
        raise UsageError("--host is empty; give 127.0.0.1 for this machine alone, or 0.0.0.0 for all its addresses")
    from hpo.search.dashboard.app import make_app

    try:
        local = is_loopback(host)
        guard = Guard(own_names(host), not local, token or ("" if local else new_token()))
        pages = make_app(database, draw, read_only=read_only)
        kind = _Server6 if ":" in host else _Server
        server = make_server(host, port, guarded(pages, guard), server_class=kind, handler_class=_Quiet)
    except (OSError, UnicodeError) as error:
        raise _explained(error, host, port) from None
    with server:
        page = f"/dashboard/studies/{study.study_id}" if study is not None else "/dashboard"
        query = f"?{urlencode({'token': guard.token})}" if guard.token else ""
        on_ready(f"http://{_shown(host)}:{server.server_port}{page}{query}")
        on_server(server)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return


def _shown(host: str) -> str:
    """Return the host for a URL: a name of this machine if it stands for every address."""
    name = socket.gethostname() if host in _EVERY_ADDRESS else host
    return f"[{name}]" if ":" in name else name


def _explained(error: OSError | UnicodeError, host: str, port: int) -> UsageError:
    if isinstance(error, UnicodeError):
        return UsageError(f"--host {host} is not a name or an address of this machine")
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is in use; give --port with another, or 0 for any free one")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"no permission to listen on port {port}; give --port 1024 or above")
    return UsageError(f"cannot listen on --host {host} --port {port}: {error.strerror or error}")
