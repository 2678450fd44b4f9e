"""What becomes of each request that would change something: done in hpo's and Optuna's tables, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import bottle

from hpo.errors import HpoError, StudyConflictError, StudyNotFoundError, UsageError
from hpo.search.admin.studies import delete_study, rename_study
from hpo.search.database.database import Database
from hpo.search.study import find_name

Answer = dict[str, Any]
"""A JSON object."""

View = Callable[..., Answer]
"""Answers a request, given the ids in its path."""

Route = tuple[str, str]
"""Method and path of a request, as optuna-dashboard defines them."""

STUDY, TRIAL = "/api/studies/<study_id:int>", "/api/studies/<study_id:int>/<trial_id:int>"
RENAME, DELETE = ("POST", f"{STUDY}/rename"), ("DELETE", STUDY)
STUDY_NOTE, TRIAL_NOTE = ("PUT", f"{STUDY}/note"), ("PUT", f"{TRIAL}/note")

DONE = (RENAME, DELETE, STUDY_NOTE, TRIAL_NOTE)
"""Routes that change something and are done right."""

_PREFERENCES = "hpo's studies maximize an AUC, so preferences between trials are not stored here"
_FILES = "figures are drawn when they are looked at; files cannot be added or removed here"
_MODEL = "no language model is connected to this dashboard"
_ARTIFACTS = "/api/artifacts/<study_id:int>"
_ARTIFACT = "<artifact_id:re:[0-9a-fA-F-]+>"

REFUSED: Mapping[Route, str] = {
    (
        "POST",
        "/api/studies",
    ): "a study needs a data set and a search space: create it with `hpo launch --study-file FILE`",
    ("POST", "/api/trials/<trial_id:int>/tell"): (
        "only the worker of a trial can end it; to stop the workers of a study run `hpo stop STUDY`"
    ),
    ("POST", "/api/trials/<trial_id:int>/user-attrs"): (
        "the attributes of a trial are those that its worker stored; write a note instead"
    ),
    ("POST", f"{STUDY}/preference"): _PREFERENCES,
    ("PUT", f"{STUDY}/preference_feedback_component"): _PREFERENCES,
    ("DELETE", f"{STUDY}/preference/<history_id>"): _PREFERENCES,
    ("POST", f"{STUDY}/preference/<history_id>"): _PREFERENCES,
    ("POST", f"{TRIAL}/skip"): _PREFERENCES,
    ("POST", f"{_ARTIFACTS}/<trial_id:int>"): _FILES,
    ("POST", _ARTIFACTS): _FILES,
    ("DELETE", f"{_ARTIFACTS}/<trial_id:int>/{_ARTIFACT}"): _FILES,
    ("DELETE", f"{_ARTIFACTS}/{_ARTIFACT}"): _FILES,
    ("POST", "/incompatible-rdb-schema"): "the tables are upgraded with `hpo db upgrade`",
    ("POST", "/api/llm/trial_filter_query"): _MODEL,
    ("POST", "/api/llm/generate_plotly_graph_query"): _MODEL,
    ("POST", "/api/llm/re_generate_plotly_graph_query"): _MODEL,
}
"""Routes that are refused, and why."""

UNKNOWN = "this version of hpo does not know that request and refuses it"
LOOKING = "this dashboard was started with --read-only: it can only be looked at"


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """A request that is refused: its HTTP status and the reason, which the page shows."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def status_of(error: HpoError) -> int:
    """Return the HTTP status of an error that has a sentence for the user."""
    if isinstance(error, StudyNotFoundError):
        return 404
    if isinstance(error, StudyConflictError):
        return 409
    return 400 if isinstance(error, UsageError) else 503


class Actions:
    """The routes that are done.

    Args:
        stock: the views of optuna-dashboard.
    """

    def __init__(self, database: Database, stock: Mapping[Route, View]) -> None:
        self._database, self._stock = database, stock

    def view(self, route: Route) -> View:
        """Return the view of one of DONE."""
        views: dict[Route, View] = {
            RENAME: self._rename,
            DELETE: self._delete,
            STUDY_NOTE: self._write_study_note,
            TRIAL_NOTE: self._write_trial_note,
        }
        return views[route]

    def _rename(self, study_id: int) -> Answer:
        new = _body().get("study_name")
        if not isinstance(new, str):
            raise Refusal(400, "give the new name as study_name")
        old = find_name(self._database, study_id)
        if old is None:
            raise Refusal(403, "hpo did not create this study; rename it in the dashboard of Optuna")
        rename_study(self._database, old, new)
        bottle.response.status = 201
        studies = self._stock["GET", "/api/studies"]()["study_summaries"]
        renamed: Answer | None = next((study for study in studies if study["study_id"] == study_id), None)
        if renamed is None:
            raise Refusal(404, "the study was deleted after it was renamed")
        return renamed

    def _delete(self, study_id: int) -> Answer:
        name = find_name(self._database, study_id)
        if name is None:
            return self._stock[DELETE](study_id)
        delete_study(self._database, name, alone=True)
        bottle.response.status = 204
        return {}

    def _write_study_note(self, study_id: int) -> Answer:
        _check_note(_body())
        return self._stock[STUDY_NOTE](study_id)

    def _write_trial_note(self, study_id: int, trial_id: int) -> Answer:
        _check_note(_body())
        return self._stock[TRIAL_NOTE](study_id, trial_id)


def _body() -> Answer:
    """Return the JSON object of the request."""
    try:
        found = bottle.request.json
    except (RecursionError, ValueError):
        # JSON in too many levels, or a Content-Length that is no number.
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "send a JSON object, with Content-Type: application/json")
    return found


def _check_note(body: Answer) -> None:
    version, text = body.get("version"), body.get("body")
    if not isinstance(version, int) or not isinstance(text, str):
        raise Refusal(400, "give the note as body, a text, and its version, a whole number")
