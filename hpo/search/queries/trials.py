"""The trials of a study, read from hpo's own tables; reading never writes and takes no lock that a writer waits for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from hpo.errors import StudyNotFoundError
from hpo.search.database import schema
from hpo.search.database.schema import AnyRow, database_now
from hpo.search.study import Study
from hpo.statistics.intervals import clipped_interval
from hpo.study.config import ConfigValues
from hpo.study.record import ResourceUsage, TrialRecord
from hpo.training.report import EpochReport

_trials = schema.trials.c

LEARNED = 0.6
"""An AUC of training batches that a network which has learned nothing does not reach: at .5 it has a standard error of
.03 to .05 on the smallest sets."""


@dataclass(frozen=True)
class Value:
    """The validation AUC of one trial. low, high: 95 % interval by its standard error, clipped to [0, 1]."""

    number: int
    auc: float
    standard_error: float | None
    low: float | None
    high: float | None
    reference: str | None


@dataclass(frozen=True)
class TrialRow:
    """One trial. state: running, free, complete, pruned or failed. auc: its last report. Times: seconds since 1970.

    candidate, repeat: in a confirmation, which configuration it trains, and for which time, from 1. peak_memory: most
    bytes that a worker held for it, None until an attempt at it has ended. training_auc: the highest of its epochs,
    None if it is not known.
    """

    number: int
    state: str
    auc: float | None
    standard_error: float | None
    epochs: int
    params: ConfigValues
    reference: str | None
    reason: str | None
    worker: str | None
    seconds: float | None
    started: float
    ended: float | None
    candidate: str | None = None
    repeat: int | None = None
    peak_memory: int | None = None
    training_auc: float | None = None

    @property
    def label(self) -> str:
        """What it is called where it has a name: a reference's, or its candidate's and its repeat; else ""."""
        return _label(self.candidate or self.reference, self.repeat)

    @property
    def warning(self) -> str:
        """That its value is luck, where it has learned not even its training rows; else ""."""
        return _warning(self.training_auc)


@dataclass(frozen=True)
class BestTrial:
    """A complete trial by rank, with the configuration that it trained, as stored.

    candidate, repeat, training_auc: as in `TrialRow`.
    """

    rank: int
    value: Value
    config: ConfigValues
    params: ConfigValues
    candidate: str | None = None
    repeat: int | None = None
    training_auc: float | None = None

    @property
    def label(self) -> str:
        """As in `TrialRow`."""
        return _label(self.candidate or self.value.reference, self.repeat)

    @property
    def warning(self) -> str:
        """As in `TrialRow`."""
        return _warning(self.training_auc)


@dataclass(frozen=True)
class Ranking:
    """The best complete trials. chosen_from: complete trials that they are the best of.

    note: why the value of the first is too high to be expected again.
    """

    trials: list[BestTrial]
    chosen_from: int
    note: str


def read_trials(study: Study) -> list[TrialRow]:
    """Every trial of the study, by number."""
    query = sa.select(schema.trials, database_now().label("now")).where(_trials.study_id == study.study_id)
    with study.database.reading() as connection:
        rows = connection.execute(query.order_by(_trials.trial_number)).all()
        training = _training_aucs(connection, study)
    return [_trial(study, row, training.get(row.trial_number)) for row in rows]


def read_best(study: Study, count: int = 10) -> Ranking:
    """The `count` best complete trials with their configurations, best first; references are among them."""
    query = sa.select(schema.trials).where(_trials.study_id == study.study_id, _trials.outcome == "complete")
    with study.database.reading() as connection:
        rows = sorted(connection.execute(query).all(), key=by_value)
        training = _training_aucs(connection, study)
    best = []
    for rank, row in enumerate(rows[:count], start=1):
        record = _record(study, row)
        config, params = ({}, {}) if record is None else (record.config, record.params)
        learned = training.get(row.trial_number)
        best.append(BestTrial(rank, value_of(row), config, params, *_planned(study, row), learned))
    if study.spec.plan is not None:
        search = study.spec.plan.search
        return Ranking(
            best, len(rows), f"Each is one repeat of a candidate; `hpo confirm {search}` compares the means."
        )
    note = (
        f"The first is the highest of {len(rows)} noisy values, so its value flatters it (the winner's curse); "
        "the expected value of its configuration is lower."
    )
    return Ranking(best, len(rows), note if len(rows) > 1 else "")


def read_curve(study: Study, number: int) -> list[EpochReport]:
    """The reports of a trial, by epoch. Raises StudyNotFoundError if there is no such trial."""
    columns = schema.reports.c
    query = sa.select(schema.reports).where(columns.study_id == study.study_id, columns.trial_number == number)
    with study.database.reading() as connection:
        _find(study, connection, number)
        rows = connection.execute(query.order_by(columns.epoch)).all()
    return [
        EpochReport(
            row.epoch,
            row.auc,
            row.standard_error,
            tuple(json.loads(row.fold_aucs)),
            row.training_auc,
            row.training_loss,
            row.seconds,
        )
        for row in rows
    ]


def read_record(study: Study, number: int) -> TrialRecord | None:
    """Read what a trial needs to be run again; None until a worker has stored it.

    Raises:
        StudyNotFoundError: if there is no such trial.
        StorageError: if its record cannot be read.
    """
    with study.database.reading() as connection:
        return _record(study, _find(study, connection, number))


def read_records(study: Study) -> list[TrialRecord]:
    """Read the records of all trials that have ended, by number; those that ended without one are left out."""
    query = sa.select(schema.trials).where(_trials.study_id == study.study_id, _trials.outcome.is_not(None))
    with study.database.reading() as connection:
        rows = connection.execute(query.order_by(_trials.trial_number)).all()
    return [record for row in rows if (record := _record(study, row)) is not None]


def _find(study: Study, connection: sa.Connection, number: int) -> AnyRow:
    query = sa.select(schema.trials).where(_trials.study_id == study.study_id, _trials.trial_number == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        last = connection.scalar(sa.select(sa.func.max(_trials.trial_number)).where(_trials.study_id == study.study_id))
        there = "it has none yet" if last is None else f"its trials are 0 to {last}"
        raise StudyNotFoundError(f"study {study.name} has no trial {number}; {there}")
    return row


def _record(study: Study, row: AnyRow) -> TrialRecord | None:
    return TrialRecord.from_json(row.record, study.trial_name(row.trial_number)) if row.record else None


def is_live(row: AnyRow) -> bool:
    """Whether a worker holds the trial of this row, read with the time as `now`."""
    return bool(row.state == "claimed" and row.lease_until >= row.now)


def by_value(row: AnyRow) -> tuple[float, int]:
    return (-row.auc, row.trial_number)


def value_of(row: AnyRow) -> Value:
    """The value in a row of a trial that has one."""
    low = high = None
    if row.standard_error is not None:
        low, high = clipped_interval(row.auc, row.standard_error)
    return Value(row.trial_number, row.auc, row.standard_error, low, high, row.reference)


def _training_aucs(connection: sa.Connection, study: Study) -> dict[int, float]:
    """The highest AUC of training batches that each trial has reported."""
    columns = schema.reports.c
    highest = sa.select(columns.trial_number, sa.func.max(columns.training_auc).label("highest"))
    rows = connection.execute(highest.where(columns.study_id == study.study_id).group_by(columns.trial_number))
    return {row.trial_number: row.highest for row in rows if row.highest is not None}


def _warning(training_auc: float | None) -> str:
    if training_auc is None or training_auc >= LEARNED:
        return ""
    return f"has learned nothing (AUC of its training batches {training_auc:.2f} at most), its value is luck"


def _label(name: str | None, repeat: int | None) -> str:
    return f"{name}, repeat {repeat}" if repeat is not None else name or ""


def _planned(study: Study, row: AnyRow) -> tuple[str | None, int | None]:
    """In a confirmation, the candidate of a trial and its repeat, from 1."""
    if study.spec.plan is None:
        return None, None
    candidate, repeat = study.spec.plan.at(row.place)
    return study.spec.plan.candidates[candidate].name, repeat + 1


def _trial(study: Study, row: AnyRow, training_auc: float | None) -> TrialRow:
    record = _record(study, row)
    usage = ResourceUsage() if record is None else record.usage
    candidate, repeat = _planned(study, row)
    return TrialRow(
        number=row.trial_number,
        state=row.outcome or ("running" if is_live(row) else "free"),
        auc=row.auc,
        standard_error=row.standard_error,
        epochs=row.epoch or 0,
        params={} if record is None else record.params,
        reference=row.reference,
        reason=row.reason,
        worker=row.worker,
        seconds=usage.seconds,
        started=row.started,
        ended=row.ended,
        candidate=candidate,
        repeat=repeat,
        peak_memory=usage.peak_memory,
        training_auc=training_auc,
    )
