"""Asynchronous successive halving on the mean over folds. Li et al. 2020, arXiv 1810.05934."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.study.spec import StudySpec

_reports = schema.reports.c


def rungs(spec: StudySpec) -> tuple[int, ...]:
    """Epochs after which it is decided whether a trial goes on: first_rung * reduction^i, below the last epoch."""
    if spec.search.pruner == "none":
        return ()
    found, epoch = [], spec.search.first_rung
    while epoch < spec.budget.epochs:
        found.append(epoch)
        epoch *= spec.search.reduction
    return tuple(found)


def goes_on(better: int, recorded: int, reduction: int) -> bool:
    """Whether a trial is among the best 1/reduction at its rung.

    better: trials recorded there with a higher value; recorded: all of them, itself included. With fewer than
    `reduction` there is nothing to compare with yet, and it goes on.
    """
    return recorded < reduction or better < recorded // reduction


def decide(connection: Connection, study_id: int, epoch: int, auc: float, reduction: int) -> bool:
    """`goes_on` for a trial whose report at this rung is already in the table; one query by the table's key."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((_reports.auc > auc, 1), else_=0)), 0))
    recorded, better = connection.execute(query.where(_reports.study_id == study_id, _reports.epoch == epoch)).one()
    return goes_on(int(better), int(recorded), reduction)
