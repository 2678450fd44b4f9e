"""The time limit of the job that a worker runs in, and whether another trial is worth starting before it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study

LEAST_SECONDS = 30.0
"""Seconds of remaining time below which no trial is started: loading and the first step take about as long."""


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


def seconds_to_get_anywhere(study: Study, *, keeps_checkpoints: bool) -> float:
    """Return the seconds of training time below which a trial of this study is not worth starting.

    One epoch with checkpoints, all epochs without, by the mean duration of first epochs in this study so far.
    """
    reports = schema.reports.c
    query = sa.select(sa.func.avg(reports.seconds)).where(reports.study_id == study.study_id, reports.epoch == 1)
    epoch = float(study.database.read(lambda connection: connection.scalar(query)) or 0.0)
    return max(LEAST_SECONDS, epoch * (1 if keeps_checkpoints else study.spec.budget.epochs))
