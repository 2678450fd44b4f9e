"""Status of a study, and how fast its trials finish; like all queries, it never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.database.schema import AnyRow, database_now
from hpo.search.queries.trial_rows import Value
from hpo.search.queries.trials import by_value, is_live, value_of
from hpo.search.strategy.pruner import stages_of
from hpo.search.study import Study, hpo_studies
from hpo.study.planned import epochs_at, planned_trial
from hpo.study.stages import make_stages, share_of_next

_trials = schema.trials.c


@dataclass(frozen=True)
class RunningTrial:
    """A trial that a worker holds.

    Attributes:
        progress: share of the trial that is done, 0 to 1.
        epoch_share: share of the epoch in progress that is done, 0 to 1, over all folds that take part in it.
        reference: name of the baseline, None if it is not one.
        seconds: since its lease was last renewed.
    """

    number: int
    worker: str
    epoch: int
    epochs: int
    progress: float
    epoch_share: float
    auc: float | None
    standard_error: float | None
    reference: str | None
    seconds: float


@dataclass(frozen=True)
class StudyStatus:
    """Summary of a study.

    Attributes:
        finished: complete + pruned + failed.
        free: started trials that wait to be resumed: released, or left by a worker that died.
        best: best of the complete trials, baselines included; None of final networks, which have no validation AUC.
        references: complete baselines.
        trials_per_hour: see `pace`; None if unknown or no trial is running.
        seconds_left: likewise.
        foreign: numbers of trials that other programs added through Optuna; they are no part of the budget.
        of_networks: whether its trials are final networks.
    """

    name: str
    dataset: str
    budget: int
    finished: int
    complete: int
    pruned: int
    failed: int
    running: list[RunningTrial]
    free: int
    best: Value | None
    references: list[Value]
    trials_per_hour: float | None
    seconds_left: float | None
    workers: list[str]
    foreign: list[int]
    of_networks: bool = False

    @property
    def is_done(self) -> bool:
        """Whether as many trials are finished as the budget has."""
        return self.finished >= self.budget


def read_status(study: Study) -> StudyStatus:
    """Read the current status of the study, in three queries.

    Raises:
        StudyNotFoundError: if it has been deleted.
    """
    columns = [column for column in _trials if column.name not in ("record", "reason")]
    budget: sa.Select[Any] = hpo_studies(schema.studies.c.trials).where(*study.is_there())
    query = sa.select(*columns, database_now().label("now")).where(_trials.study_id == study.study_id)
    query = query.order_by(_trials.place)
    added = _added_through_optuna(study)
    trials, rows, foreign = study.database.read(
        lambda connection: (
            connection.scalar(budget),
            connection.execute(query).all(),
            list(connection.scalars(added)),
        )
    )
    if trials is None:
        raise study.deleted()
    outcomes = [row.outcome for row in rows]
    complete = sorted((row for row in rows if row.outcome == "complete" and row.auc is not None), key=by_value)
    running = [_running(study, row) for row in rows if is_live(row)]
    finished = sum(outcome is not None for outcome in outcomes)
    of_networks = study.spec.plan is not None and study.spec.plan.final is not None
    speed = pace(_at_work(rows) if of_networks else rows) if running else None
    return StudyStatus(
        name=study.name,
        dataset=study.spec.dataset,
        budget=trials,
        finished=finished,
        complete=outcomes.count("complete"),
        pruned=outcomes.count("pruned"),
        failed=outcomes.count("failed"),
        running=running,
        free=sum(row.state != "finished" and not is_live(row) for row in rows),
        best=value_of(study, complete[0]) if complete else None,
        references=_latest_references(study, rows),
        trials_per_hour=speed * 3600 if speed else None,
        seconds_left=max(trials - finished, 0) / speed if speed else None,
        workers=sorted({trial.worker for trial in running}),
        foreign=foreign,
        of_networks=of_networks,
    )


def _at_work(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Return the final networks but those that were there already, which took no time."""
    return [row for row in rows if row.epoch or row.outcome != "complete"]


def _added_through_optuna(study: Study) -> sa.Select[Any]:
    optuna, own = schema.optuna_trials.c, sa.select(_trials.trial_id).where(_trials.study_id == study.study_id)
    here = (optuna.study_id == study.study_id) & optuna.trial_id.not_in(own)
    return sa.select(optuna.number).where(here).order_by(optuna.number)


def _running(study: Study, row: AnyRow) -> RunningTrial:
    planned, epochs = planned_trial(study.spec, row.place), epochs_at(study.spec, row.place)
    stages = stages_of(study.spec, planned=planned is not None)
    if planned is not None and planned.is_network:
        stages = make_stages((), 1, epochs)
    return RunningTrial(
        number=row.trial_number,
        worker=row.worker,
        epoch=row.epoch or 0,
        epochs=epochs,
        progress=row.progress,
        epoch_share=share_of_next(stages, row.epoch or 0, row.progress),
        auc=row.auc,
        standard_error=row.standard_error,
        reference=row.reference,
        seconds=max(row.now - (row.lease_until - study.lease), 0.0),
    )


def _latest_references(study: Study, rows: Sequence[AnyRow]) -> list[Value]:
    """Return each baseline once, by its last trial: in a confirmation it has one per repeat."""
    last = {row.reference: row for row in rows if row.reference and row.outcome == "complete" and row.auc is not None}
    return [value_of(study, row) for row in last.values()]


RECENT = 20
"""Number of finished trials over which the pace is measured."""

IDLE_SECONDS = 60.0
"""Seconds without a running trial after which the measurement restarts."""


def pace(rows: Sequence[AnyRow]) -> float | None:
    """Return finished trials per second, over the last RECENT since the study was last idle; None before the first."""
    now, wave, busy = rows[0].now, 0.0, 0.0
    for row in sorted(rows, key=lambda row: row.started):
        if row.started > busy + IDLE_SECONDS:
            wave = row.started
        busy = max(busy, row.ended or row.started)
    ends = sorted(row.ended for row in rows if row.ended is not None and row.ended >= wave)
    since = ends[-RECENT - 1] if len(ends) > RECENT else wave
    return min(len(ends), RECENT) / float(max(now - since, 1e-3)) if ends else None
