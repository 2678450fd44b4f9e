"""The time limit of the job that a worker runs in, and whether another trial is worth starting before it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study
from hpo.study.record import TrialRecord
from hpo.text import duration

LEAST_SECONDS = 30.0
"""Seconds of remaining time below which no trial is started: loading and the first step take about as long."""


MOST_JOBS = 3
"""Number of jobs in a row that may end in a trial without bringing it further."""

_SPARE = 1.2
"""Factor on a walltime that is advised."""


@dataclass(frozen=True)
class Deadline:
    """The end of the worker's job.

    Attributes:
        seconds: from creation of this object to the end.
        margin: seconds before the end at which the trial is released.
    """

    seconds: float
    margin: float
    _since: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float:
        """Return the seconds until the trial must be released; negative after that."""
        return self._since + self.seconds - self.margin - time.monotonic()


def seconds_to_get_anywhere(study: Study, *, keeps_checkpoints: bool, job: float = math.inf) -> float:
    """Return the seconds of training time below which a trial of this study is not worth starting.

    One epoch with checkpoints, all epochs without, by the mean duration of first epochs in this study so far. With
    checkpoints half of a job is always enough: an epoch that is longer than a job goes on in the next one.

    Args:
        job: seconds of the job that the worker runs in.
    """
    reports = schema.reports.c
    query = sa.select(sa.func.avg(reports.seconds)).where(reports.study_id == study.study_id, reports.epoch == 1)
    epoch = float(study.database.read(lambda connection: connection.scalar(query)) or 0.0)
    needed = min(epoch, job / 2) if keeps_checkpoints else epoch * study.spec.budget.epochs
    return max(LEAST_SECONDS, needed)


def with_job(record: TrialRecord, began: float | None) -> TrialRecord:
    """Count, in the record of a trial, a job that ended before the trial did.

    Args:
        began: share of the trial at which the job began it; None if it made no step.
    """
    here = began or 0.0
    before = record.jobs or (here, 0)
    jobs = (before[0], before[1] + 1) if here <= before[0] else (here, 1)
    return record.model_copy(update={"jobs": jobs})


def standstill(trial: str, record: TrialRecord, deadline: Deadline, done: float, kept_in: str | None) -> str:
    """Say that jobs in a row have not brought a trial further, and what walltime would; "" if they have.

    Args:
        done: share of the trial that this job trained, whose time is that since the deadline was set.
        kept_in: where checkpoints are kept, HOST:FOLDER; None if they are not.
    """
    began, count = record.jobs or (0.0, 0)
    if count < MOST_JOBS:
        return ""
    passed = deadline.seconds - deadline.seconds_left() - deadline.margin
    walltime = f"a walltime of {duration(_SPARE * passed * (1 - began) / done)}" if done > 0 else "a longer walltime"
    why = "no checkpoints are kept" if kept_in is None else f"no newer checkpoint of it was found in {kept_in}"
    return (
        f"{trial}: {count} jobs in a row began it at {began:.0%} and ended without bringing it further: {why}; "
        f"submit jobs with {walltime} (--time), or with a --checkpoint-dir that every job can write and read"
    )
