"""Launch a study: create or resume it, then have a backend start its workers."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hpo.errors import StudyNotFoundError
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.revision import code_version
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.status import read_status
from hpo.search.study import Study, create_or_open, open_study
from hpo.study.spec import StudySpec
from hpo.text import shell

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launched:
    """A study whose workers were started. submission: what the backend started, None with nothing left to do."""

    study: Study
    submission: Submission | None = None


def launch(spec: StudySpec, request: LaunchRequest, *, on: str = "local", keep_trials: bool = False) -> Launched:
    """Create or resume a study and start its workers; local ones have ended when it returns.

    Args:
        on: name of a backend.
        keep_trials: a study that exists keeps its number of trials, whatever `spec` says.

    Raises:
        UsageError, DataError, StorageError, StudyConflictError, DeviceError, OutputError: before anything is trained.
        WorkersFailedError: if local workers ended with an error.
    """
    with BACKENDS.find(on)() as backend:
        backend.check(spec, request)
        study = create_or_resume(spec, name=request.study, storage=request.storage, keep_trials=keep_trials)
        if spec.data.caution and spec.scoring.rows != "official":
            _log.info(f"caution: {spec.data.caution}")
        status = read_status(study)
        if status.finished >= status.budget:
            _log.info(f"nothing is left to do; more trials: a larger --trials; hpo best {shell(study.name)}")
            return Launched(study)
        return Launched(study, backend.submit(study, request))


def create_or_resume(spec: StudySpec, *, name: str, storage: str | None = None, keep_trials: bool = False) -> Study:
    """Create the study `name`, or open it if it is there with the same spec; tells how many trials are finished.

    Arguments as for `launch`. Raises StudyConflictError, StorageError, UsageError.
    """
    database = open_database(resolve_address(storage), create=True)
    if keep_trials:
        spec = _with_stored_trials(database, name, spec)
    study = create_or_open(database, name, spec, code_version=code_version()[0])
    status = read_status(study)
    _log.info(f"study {name} in {database.address}: {status.finished} of {status.budget} trials finished")
    return study


def _with_stored_trials(database: Database, name: str, spec: StudySpec) -> StudySpec:
    try:
        stored = open_study(database, name)
    except StudyNotFoundError:
        return spec
    budget = spec.budget.model_copy(update={"trials": stored.spec.budget.trials})
    return spec.model_copy(update={"budget": budget})
