"""Launch a study: create or resume it, then have a backend start its workers."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hpo.errors import DataError, DeclinedError, UsageError
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.launch.backends.local import AUTO
from hpo.launch.failed import check_failed
from hpo.revision import code_version
from hpo.search.admin.studies import delete_unused
from hpo.search.admin.widening import widen
from hpo.search.creation import BudgetRule, create_or_tell
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.study import Study
from hpo.search.worker.reporter import check_reporters
from hpo.study.ranges import WORKERS
from hpo.study.spec import StudySpec
from hpo.text import counted, shell

_log = logging.getLogger(__name__)

MOST_HOURS = 10_000

_NO_HOURS = {
    "slurm": "--hours is for workers of this machine, since jobs wait in a queue before they run; with --on slurm give "
    "--trials, and --time as the walltime of each job",
    "none": "--hours is for workers that this command starts, and --on none starts none; give --trials",
}


@dataclass(frozen=True)
class Launched:
    """A study whose workers were started.

    Attributes:
        submission: what the backend started; None if no trial was left.
        is_done: whether all trials are finished; False where workers go on elsewhere.
    """

    study: Study
    submission: Submission | None = None
    is_done: bool = False


def launch(
    spec: StudySpec,
    request: LaunchRequest,
    *,
    on: str = "local",
    budget: BudgetRule = "extend",
    extend: bool = False,
) -> Launched:
    """Create or resume a study and start its workers; local ones have ended when it returns.

    Args:
        on: name of a backend.
        budget: what becomes of the number of trials of a study that exists.
        extend: whether the space of a study that exists becomes that of `spec`, if that is wider.

    Raises:
        UsageError, DataError, StorageError, StudyConflictError, DeviceError, OutputError: before anything is trained;
            after a DataError or DeclinedError no study is left that was created for this launch.
        DeclinedError: if `request.agrees` says no.
        WorkersFailedError: if local workers ended with an error.
        StudyStoppedError: if the trials are finished and all of them failed.
    """
    _check_numbers(request)
    check_reporters(request.reporters)
    with BACKENDS.find(on)() as backend:
        if request.hours is not None:
            check_hours(on)
        backend.check(spec, request)
        study, is_new = create_or_resume(
            spec, name=request.study, storage=request.storage, budget=budget, extend=extend
        )
        if spec.data.caution and spec.scoring.rows != "official":
            _log.info(f"caution: {spec.data.caution}")
        status = read_status(study)
        if status.is_done and not request.sets_trials:
            _check_failed(study, status, request)
            if status.free:
                _log.info(f"begun and not finished: {counted(status.free, 'trial')}, which a larger --trials resumes")
            _log.info(f"nothing is left to do; more trials: a larger --trials; hpo best {shell(study.name)}")
            return Launched(study, is_done=True)
        try:
            submission = backend.submit(study, request)
        except (DeclinedError, DataError):
            # It would refuse the cheaper settings, or the other file, that were advised; others may be at work on it.
            if is_new:
                delete_unused(study)
            raise
        if not backend.waits:
            return Launched(study, submission)
        status = read_status(study)
        if not status.is_done:
            _log.info(f"stopped: {status.finished} of {status.budget} trials finished; the same command continues")
        _check_failed(study, status, request)
        return Launched(study, submission, is_done=status.is_done)


def _check_failed(study: Study, status: StudyStatus, request: LaunchRequest) -> None:
    """Raise StudyStoppedError if all trials have failed; say why some have."""
    # Of final networks each one counts, and `finalize` names those that failed.
    if study.spec.plan is not None and study.spec.plan.final is not None:
        return
    if note := check_failed(study, status, request.log_dir / study.folder):
        _log.info(note)


def _check_numbers(request: LaunchRequest) -> None:
    """Raise UsageError for a number of workers or hours that cannot be."""
    for option, count in (("--workers", request.workers), ("--workers-per-gpu", request.workers_per_gpu)):
        if count != AUTO:
            WORKERS.check(option, count)
    if request.hours is not None and not 0 < request.hours <= MOST_HOURS:
        raise UsageError(f"--hours {request.hours}: give a number above 0, at most {MOST_HOURS:,}")


def check_hours(on: str) -> None:
    """Raise UsageError if the backend of that name cannot end workers after some hours."""
    if not BACKENDS.find(on).keeps_hours:
        raise UsageError(_NO_HOURS.get(on, f"--on {on} cannot keep --hours; give --trials in its place"))


def create_or_resume(
    spec: StudySpec, *, name: str, storage: str | None = None, budget: BudgetRule = "extend", extend: bool = False
) -> tuple[Study, bool]:
    """Create the study `name`, or open it if it is there with the same spec; tells how many trials are finished.

    Returns:
        The study, and whether this call has created it.

    Arguments as for `launch`. Raises StudyConflictError, StorageError, UsageError.
    """
    database = open_database(resolve_address(storage), create=True)
    for line in widen(database, name, spec, budget) if extend else ():
        _log.info(f"extended: {line}")
    study, is_new = create_or_tell(database, name, spec, budget=budget, code_version=code_version()[0])
    status = read_status(study)
    _log.info(f"study {name} in {database.address}: {status.finished} of {status.budget} trials finished")
    return study, is_new
