"""optuna-dashboard on a database, on this machine only."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hpo.errors import UsageError
from hpo.search.dashboard.notes import with_notes
from hpo.search.dashboard.pictures import Draw, Pictures
from hpo.search.database.database import Database
from hpo.search.study import Study

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_ARTIFACTS = "/api/artifacts/"
"""Pictures are drawn when they are looked at, so none can be added or removed."""

_REASON = b'{"reason": "this can only be looked at"}'


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a line for each poll of the page helps nobody."""


def _refusing(below: str, pages: WSGIApplication) -> WSGIApplication:
    """The same pages, with requests refused that do more than read there: optuna-dashboard reads by GET alone."""

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in ("GET", "HEAD") or not environment["PATH_INFO"].startswith(below):
            return pages(environment, start)
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [_REASON]

    return answer


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
) -> None:
    """Serves the dashboard until interrupted; `on_ready` gets the address that opens on `study`, or on the list of all.

    port 0 takes any free one. It has no password, so keep `host` on this machine. `on_server` gets the server, whose
    `shutdown` ends this. read_only: its pages can be looked at, and what would change a study is refused. draw: makes
    the pictures of studies and trials.
    Raises UsageError if the port is taken or the host is not this machine's.
    """
    from optuna_dashboard import wsgi

    try:
        pages = wsgi(with_notes(database, study), artifact_store=Pictures(database, draw))
        shown = _refusing("/" if read_only else _ARTIFACTS, pages)
        server = make_server(host, port, shown, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken; give --port with another, or 0 for any free one") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise UsageError(f"port {port} needs more rights; give --port 1024 or above") from None
        raise UsageError(f"--host {host} --port {port} cannot be listened on: {error.strerror or error}") from None
    with server:
        page = f"/dashboard/studies/{study.study_id}" if study is not None else "/dashboard"
        on_ready(f"http://{host}:{server.server_port}{page}")
        on_server(server)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return
