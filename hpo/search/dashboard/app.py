"""optuna-dashboard's application, in which every request that changes something is done right or refused."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import bottle
import optuna
import sqlalchemy as sa
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard import wsgi

from hpo.errors import HpoError, first_line
from hpo.search.dashboard.actions import DONE, LOOKING, REFUSED, UNKNOWN, Actions, Answer, Refusal, Route, status_of
from hpo.search.dashboard.guard import refuse
from hpo.search.dashboard.notes import Notes
from hpo.search.dashboard.pictures import Draw, Pictures
from hpo.search.database.database import Database
from hpo.search.database.optuna_mirror import optuna_tables

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PAGE: Route = ("GET", "/dashboard<:re:(/.*)?>")
DETAIL: Route = ("GET", "/api/studies/<study_id:int>")
_FIGURES = "/artifacts/"
_SCRIPT = "/hpo/reasons.js"

_LARGEST_ID = 2**31 - 1
"""Largest key in Optuna's tables on a server."""

_FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Content-Security-Policy of figures, which hold text from the database: they may run nothing."""

_View = Callable[..., Any]

_log = logging.getLogger(__name__)


def make_app(database: Database, draw: Draw, *, read_only: bool = False) -> WSGIApplication:
    """Return the application.

    Args:
        draw: draws the figures of studies and trials.
        read_only: whether to refuse every change.
    """
    notes = Notes(database)
    app: Any = wsgi(notes.storage(), artifact_store=Pictures(database, draw))
    # Optuna warns of each parameter that has one value only, for each importance and plot that a page asks for.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="optuna|sklearn")
    app.catchall = False
    app.default_error_handler = _as_json
    # Without optuna-dashboard's own wrapper, which logs a traceback for every error, whatever caused it.
    stock: dict[Route, _View] = {
        (route.method, route.rule): getattr(route.callback, "__wrapped__", route.callback) for route in app.routes
    }
    actions = Actions(database, stock)
    for route in app.routes:
        key = (route.method, route.rule)
        if route.method == "GET":
            view = _there(database, _added(notes, stock[key]) if key == DETAIL else stock[key])
            view = _with_script(view) if key == PAGE else view
        elif read_only:
            view = _refused(LOOKING)
        else:
            view = _there(database, actions.view(key)) if key in DONE else _refused(REFUSED.get(key, UNKNOWN))
        route.callback = _answering(view, as_json=route.rule.startswith("/api/"))
    app.route(_SCRIPT, callback=_script)
    return _logging_errors(app)


def _answering(view: _View, *, as_json: bool) -> _View:
    """Wrap a view to answer errors that have a sentence with that sentence."""

    def answer(**parts: object) -> object:
        if as_json:
            bottle.response.content_type = "application/json"
        try:
            return view(**parts)
        except Refusal as refusal:
            return _reason(refusal.status, refusal.reason)
        except ArtifactNotFound as error:
            return _reason(404, first_line(error))
        except HpoError as error:
            return _reason(status_of(error), str(error))

    return answer


def _there(database: Database, view: _View) -> _View:
    """Wrap a view to refuse ids that cannot be, or are not there."""

    def answer(study_id: int | None = None, trial_id: int | None = None, **parts: object) -> object:
        given = {name: value for name, value in (("study_id", study_id), ("trial_id", trial_id)) if value is not None}
        for name, value in given.items():
            if not 0 <= value <= _LARGEST_ID:
                raise Refusal(400, f"{name} must be a whole number from 0 to {_LARGEST_ID}")
        if given:
            table = optuna_tables()["studies" if trial_id is None else "trials"]
            here = [table.c[name] == value for name, value in given.items()]
            query = sa.select(sa.func.count()).select_from(table).where(*here)
            if not database.read(lambda connection: connection.scalar(query)):
                raise Refusal(404, "there is no " + ", ".join(f"{name} {value}" for name, value in given.items()))
        return view(**given, **parts)

    return answer


def _refused(reason: str) -> _View:
    def answer(**_parts: object) -> object:
        raise Refusal(403, reason)

    return answer


def _added(notes: Notes, view: _View) -> _View:
    """Wrap the view of a study to add notes and figures."""

    def answer(study_id: int) -> Answer:
        after = bottle.request.query.get("after")
        if after is not None and not re.fullmatch(r"[0-9]{1,9}", after):
            raise Refusal(400, "after must be the number of trials that are known already, a whole number from 0")
        detail: Answer = view(study_id)
        if "trials" in detail:
            notes.add(study_id, detail)
        return detail

    return answer


def _with_script(view: _View) -> _View:
    """Wrap the view of the page to add the script that shows why a change was refused."""

    def answer() -> Any:
        found = view()
        if found.status_code != 200 or not hasattr(found.body, "read"):
            return found
        with found.body as file:
            page = file.read().replace(b"</head>", f'<script src="{_SCRIPT}"></script></head>'.encode(), 1)
        policy = found.get_header("Content-Security-Policy")
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        return bottle.HTTPResponse(page, headers=headers)

    return answer


def _script() -> Any:
    text = (files("hpo.search.dashboard") / "reasons.js").read_bytes()
    return bottle.HTTPResponse(text, headers={"Content-Type": "text/javascript; charset=utf-8"})


def _reason(status: int, reason: str) -> Any:
    return bottle.HTTPResponse(
        json.dumps({"reason": reason}), status=status, headers={"Content-Type": "application/json"}
    )


def _as_json(error: Any) -> str:
    """Return the body for an error of bottle: no such page, wrong method, a body that is not JSON."""
    bottle.response.content_type = "application/json"
    return json.dumps({"reason": f"{error.status_line}: {error.body}"})


def _logging_errors(app: WSGIApplication) -> WSGIApplication:
    """Wrap an application to answer an unexpected error in JSON and to log it in one line."""

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        def starting(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            figure = environment["PATH_INFO"].startswith(_FIGURES)
            return start(status, [*headers, ("Content-Security-Policy", _FIGURE_POLICY)] if figure else headers, *error)

        # optuna-dashboard reads this header without asking whether it was sent.
        environment.setdefault("HTTP_ACCEPT_ENCODING", "")
        try:
            return app(environment, starting)
        except Exception as error:
            request = f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']}"
            _log.error("%s: %s: %s", request, type(error).__name__, first_line(error))
            return refuse(environment, start, "500 Internal Server Error", "an error of hpo; see what it printed")

    return answer
