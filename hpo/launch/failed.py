"""A study in which trials failed: say why, and end with an error where none of them was trained."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import StudyStoppedError
from hpo.search.queries.status import StudyStatus
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study
from hpo.text import shell


def check_failed(study: Study, status: StudyStatus, log_dir: Path | None = None) -> str:
    """Return why the first of the failed trials failed, if others did not; "" if none failed.

    Args:
        log_dir: where the logs of the study's workers are; None where that is not known.

    Raises:
        StudyStoppedError: if the study is done and all its trials have failed.
    """
    if not status.failed:
        return ""
    first = next((row for row in read_trials(study) if row.state == "failed"), None)
    if first is None:
        # Opened again, or the study deleted, since its state was read.
        return ""
    log = None if log_dir is None else log_dir / f"{first.worker}.log"
    where = f"; its log is {log}" if log is not None and log.exists() else ""
    look = f"hpo trials {shell(study.name)}"
    told = f"trial {first.number}: {first.reason or 'without a reason'}{where}; `{look}` has the reasons of all"
    if not status.is_done or status.failed < status.finished:
        return f"{status.failed} of {status.finished} trials failed, the first is {told}"
    how_many = "the only trial" if status.failed == 1 else f"all {status.failed} trials"
    raise StudyStoppedError(
        f"{how_many} of study {study.name} failed, so it has no result: {told}. With the cause mended, a larger "
        "--trials goes on, and another --name begins anew"
    )
