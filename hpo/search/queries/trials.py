"""Read the trials of a study from hpo's own tables, without writes and without locks that block writers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from hpo.errors import StudyNotFoundError
from hpo.search.database import schema
from hpo.search.database.schema import AnyRow, database_now
from hpo.search.queries.reported import Reported, Reports, read_reported
from hpo.search.queries.smoothing import read_smoothed
from hpo.search.queries.trial_rows import BestTrial, Ranking, TrialRow, Value
from hpo.search.study import Study, fold_aucs
from hpo.statistics.intervals import clipped_interval
from hpo.study.baselines import cut_short
from hpo.study.planned import epochs_at, start_at
from hpo.study.record import ResourceUsage, TrialRecord
from hpo.text import shell
from hpo.training.report import EpochReport

_trials = schema.trials.c

_FEW = 500
"""Number of trials that a query names one by one."""


def read_trials(study: Study, numbers: Collection[int] | None = None) -> list[TrialRow]:
    """Return the trials of the study, by number.

    Args:
        numbers: of the trials; None for all.
    """
    query = sa.select(schema.trials, database_now().label("now")).where(_trials.study_id == study.study_id)
    if numbers is not None:
        few = len(numbers) <= _FEW
        span = _trials.trial_number.between(min(numbers, default=0), max(numbers, default=-1))
        query = query.where(_trials.trial_number.in_(numbers) if few else span)
    rows, training = _with_reports(study, query.order_by(_trials.trial_number))
    return [
        _trial(study, row, training.get(row.trial_number, Reported()))
        for row in rows
        if numbers is None or row.trial_number in numbers
    ]


def read_best(study: Study, count: int = 10) -> Ranking:
    """Return the `count` best complete trials with their configurations, best first, including baselines.

    Ranked by the study's `ranking`.
    """
    query = sa.select(schema.trials).where(_trials.study_id == study.study_id, _trials.outcome == "complete")
    query = query.where(_trials.auc.is_not(None))
    rows, training = _with_reports(study, query)
    found = read_smoothed(study)
    smoothed = {} if found is None else found.aucs
    rows = sorted(rows, key=lambda row: (-smoothed.get(row.trial_number, row.auc), row.trial_number))
    best = []
    for rank, row in enumerate(rows[:count], start=1):
        record = _record(study, row)
        config, params = ({}, {}) if record is None else (record.config, record.params)
        learned = training.get(row.trial_number, Reported())
        value, start = value_of(study, row), _start(study, row)
        (candidate, repeat, _), ranked_by = _planned(study, row), smoothed.get(row.trial_number)
        reached = (learned.last, learned.highest, start, ranked_by)
        best.append(BestTrial(rank, value, config, params, candidate, repeat, *reached))
    if study.spec.plan is not None and study.spec.plan.final is not None:
        report = f"hpo report {shell(study.spec.plan.search)}"
        return Ranking([], 0, f"Final networks have no validation AUC; `{report}` compares them.")
    if study.spec.plan is not None:
        command = study.spec.plan.command(study.spec.data.source, study.name)
        note = f"Each is one repeat of a candidate; `{command}` compares the means."
        return Ranking(best, len(rows), note if rows else "")
    how = "has the highest AUC of" if found is None else "was chosen from"
    included = ", baselines included," if any(row.reference for row in rows) else ""
    note = (
        f"The first {how} {len(rows)} trials{included} by noisy values, so its AUC is optimistically biased (the "
        "winner's curse); the expected value of its configuration is lower."
    )
    if study.spec.earlier:
        note += (
            f" It started from the best of {study.spec.earlier} configurations that were tried on the same samples "
            "before, which no correction here counts; its confirmation does."
        )
    if found is not None:
        note += " Trials are ranked by their AUC smoothed over similar configurations."
    return Ranking(best, len(rows), note if len(rows) > 1 else "")


def read_curve(study: Study, number: int) -> list[EpochReport]:
    """Return the reports of a trial, by epoch.

    Raises:
        StudyNotFoundError: if there is no such trial.
    """
    columns = schema.reports.c
    query = sa.select(schema.reports).where(columns.study_id == study.study_id, columns.trial_number == number)
    query = query.order_by(columns.epoch)

    def read(connection: sa.Connection) -> Sequence[AnyRow]:
        _find(study, connection, number)
        return connection.execute(query).all()

    return [_report(study, row) for row in study.database.read(read)]


def read_curves(study: Study) -> dict[int, list[EpochReport]]:
    """Return the reports of every trial, by epoch; trials without a report are omitted."""
    columns = schema.reports.c
    query = sa.select(schema.reports).where(columns.study_id == study.study_id)
    # In the order of the primary key, which costs the database nothing.
    query = query.order_by(columns.epoch, columns.trial_number)
    curves: dict[int, list[EpochReport]] = {}
    for row in study.database.read(lambda connection: connection.execute(query).all()):
        curves.setdefault(row.trial_number, []).append(_report(study, row))
    return curves


def _report(study: Study, row: AnyRow) -> EpochReport:
    folds = fold_aucs(row.fold_aucs, study.trial_name(row.trial_number))
    return EpochReport(row.epoch, row.auc, row.standard_error, folds, row.training_auc, row.training_loss, row.seconds)


def read_record(study: Study, number: int) -> TrialRecord | None:
    """Read the record of a trial, from which it can be reproduced; None until a worker has stored it.

    Raises:
        StudyNotFoundError: if there is no such trial.
        StorageError: if its record cannot be read.
    """
    return study.database.read(lambda connection: _record(study, _find(study, connection, number)))


def read_records(study: Study) -> dict[int, TrialRecord]:
    """Read the records of all finished trials, by number; trials without a record are omitted."""
    query = sa.select(_trials.trial_number, _trials.record).where(
        _trials.study_id == study.study_id, _trials.outcome.is_not(None)
    )
    query = query.order_by(_trials.trial_number)
    rows: Sequence[AnyRow] = study.database.read(lambda connection: connection.execute(query).all())
    return {row.trial_number: record for row in rows if (record := _record(study, row)) is not None}


def read_other_record(study: Study, number: int) -> TrialRecord | None:
    """Read the record of the first trial, finished or not, that is not the one of this number; None if there is none.

    Raises:
        StorageError: if it cannot be read.
    """
    query = sa.select(_trials.trial_number, _trials.record).where(
        _trials.study_id == study.study_id, _trials.trial_number != number, _trials.record.is_not(None)
    )
    query = query.order_by(_trials.trial_number).limit(1)
    row = study.database.read(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else _record(study, row)


def _find(study: Study, connection: sa.Connection, number: int) -> AnyRow:
    query = sa.select(schema.trials).where(_trials.study_id == study.study_id, _trials.trial_number == number)
    row = connection.execute(query).one_or_none() if 0 <= number <= schema.LARGEST_INTEGER else None
    if row is None:
        last = connection.scalar(sa.select(sa.func.max(_trials.trial_number)).where(_trials.study_id == study.study_id))
        legal = "it has no trials yet" if last is None else f"its trials are 0 to {last}"
        raise StudyNotFoundError(f"study {study.name} has no trial {number}; {legal}")
    return row


def _record(study: Study, row: AnyRow) -> TrialRecord | None:
    return TrialRecord.from_json(row.record, study.trial_name(row.trial_number)) if row.record else None


def is_live(row: AnyRow) -> bool:
    """Return whether a worker holds a valid lease on the trial of this row, which includes the time as `now`."""
    return bool(row.state == "claimed" and row.lease_until >= row.now)


def by_value(row: AnyRow) -> tuple[float, int]:
    return (-row.auc, row.trial_number)


def value_of(study: Study, row: AnyRow) -> Value:
    """Return the value of a trial from its row, which must have an AUC."""
    low = high = None
    if row.standard_error is not None:
        low, high = clipped_interval(row.auc, row.standard_error)
    short = cut_short(row.reference or "", study.spec.budget.epochs)
    return Value(row.trial_number, row.auc, row.standard_error, low, high, row.reference, short)


def _with_reports(study: Study, query: sa.Select[Any]) -> tuple[Sequence[AnyRow], Reports]:
    """Return rows of trials, and what each trial has reported, both at one moment."""
    return study.database.read(lambda connection: (connection.execute(query).all(), read_reported(connection, study)))


def _planned(study: Study, row: AnyRow) -> tuple[str | None, int | None, int | None]:
    """Return the candidate of a planned trial, and its repeat, from 1, or the number of the network, from 0."""
    plan = study.spec.plan
    if plan is None:
        return None, None, None
    candidate, repeat = plan.at(row.place)
    name = plan.candidates[candidate].name
    return (name, repeat + 1, None) if plan.final is None else (name, None, repeat)


def _start(study: Study, row: AnyRow) -> str | None:
    start = start_at(study.spec, row.place)
    return None if start is None else start.name


def _trial(study: Study, row: AnyRow, reported: Reported) -> TrialRow:
    record = _record(study, row)
    usage = ResourceUsage() if record is None else record.usage
    candidate, repeat, network = _planned(study, row)
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
        training_auc=reported.last,
        highest_training_auc=reported.highest,
        folds=reported.folds,
        all_folds=study.spec.scoring.fold_count,
        cut_short=cut_short(candidate or row.reference or "", epochs_at(study.spec, row.place)),
        start=_start(study, row),
        network=network,
    )
