"""Serve optuna-dashboard for a database."""

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
"""Artifacts are generated figures, so none can be added or removed."""

_REASON = b'{"reason": "this can only be looked at"}'


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a line for each poll of the page would be noise."""


def _refusing(below: str, pages: WSGIApplication) -> WSGIApplication:
    """Wrap an application to refuse all requests but GET and HEAD for paths that start with `below`."""

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
    """Serve the dashboard until interrupted.

    Args:
        study: the study to open on; None for the list of all.
        host: address to listen on. There is no password, so keep it on this machine.
        port: 0 for any free port.
        on_ready: called with the URL.
        on_server: called with the server, whose `shutdown` ends this function.
        read_only: whether to refuse requests that would change a study.
        draw: draws the figures of studies and trials.

    Raises:
        UsageError: if the port is taken, or the host is not an address of this machine.
    """
    from optuna_dashboard import wsgi

    try:
        pages = wsgi(with_notes(database, study), artifact_store=Pictures(database, draw))
        shown = _refusing("/" if read_only else _ARTIFACTS, pages)
        server = make_server(host, port, shown, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is in use; give --port with another, or 0 for any free one") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise UsageError(f"no permission to listen on port {port}; give --port 1024 or above") from None
        raise UsageError(f"cannot listen on --host {host} --port {port}: {error.strerror or error}") from None
    with server:
        page = f"/dashboard/studies/{study.study_id}" if study is not None else "/dashboard"
        on_ready(f"http://{host}:{server.server_port}{page}")
        on_server(server)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            return
