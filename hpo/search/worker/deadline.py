"""The end of the job that a worker runs in, and what can still be begun before it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study

LEAST_SECONDS = 30.0
"""Seconds of training below which no trial is begun: loading and the first step take about that."""


@dataclass(frozen=True)
class Deadline:
    """When the worker's job ends. seconds: from now. margin: seconds before that at which a trial is given back."""

    seconds: float
    margin: float
    _since: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float:
        """Seconds until the trial has to be given back; negative after that."""
        return self._since + self.seconds - self.margin - time.monotonic()


def seconds_to_get_anywhere(study: Study, *, keeps_checkpoints: bool) -> float:
    """Training time below which a trial of this study is not worth beginning.

    With checkpoints one epoch, without them all epochs, as long as first epochs of this study took so far.
    """
    reports = schema.reports.c
    query = sa.select(sa.func.avg(reports.seconds)).where(reports.study_id == study.study_id, reports.epoch == 1)
    epoch = float(study.database.read(lambda connection: connection.scalar(query)) or 0.0)
    return max(LEAST_SECONDS, epoch * (1 if keeps_checkpoints else study.spec.budget.epochs))
