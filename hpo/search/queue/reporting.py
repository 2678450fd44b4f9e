"""Store the reports and the end of a trial in hpo's and in Optuna's tables, in one transaction each."""

from __future__ import annotations

import itertools
import json
import math
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.database.optuna_mirror import Attributes, write_end, write_report
from hpo.search.database.schema import RowValues, database_now
from hpo.search.queue.lease import Claim, is_in_state, update_held
from hpo.search.strategy.pruner import Reached, Rung, make_pruner, stages_of
from hpo.search.study import fold_aucs
from hpo.study.record import TrialRecord
from hpo.study.stages import Stage, trained
from hpo.text import storable
from hpo.training.report import EpochReport, NetworkEpoch

Outcome = Literal["complete", "pruned", "failed"]

_OPTUNA_STATES: dict[Outcome, str] = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


class LeaseLost(Exception):  # noqa: N818 - an event, not an error
    """Another worker has claimed the trial; this one may no longer write to it."""


def record_report(held: Claim, report: EpochReport | NetworkEpoch) -> bool:
    """Store the report of one epoch and renew the lease; return whether the trial continues or is pruned.

    A second report of the same epoch, after a resume or a lost reply, replaces the first. Of a final network, only how
    far it is.

    Raises:
        LeaseLost: if another worker has claimed the trial.
    """
    if isinstance(report, NetworkEpoch):
        return held.study.write(lambda connection: _record_network(connection, held, report))
    return held.study.write(lambda connection: _record_report(connection, held, report))


def folds_reported(held: Claim) -> dict[int, int]:
    """Return the epochs of which the trial has stored reports, each with the number of folds that it rests on."""
    reports, name = schema.reports.c, held.study.trial_name(held.number)
    query = sa.select(reports.epoch, reports.fold_aucs)
    query = query.where(reports.study_id == held.study.study_id, reports.trial_number == held.number)
    rows = held.study.database.read(lambda connection: connection.execute(query).all())
    return {epoch: len(fold_aucs(stored, name)) for epoch, stored in rows}


def finish(
    held: Claim,
    outcome: Outcome,
    last: EpochReport | NetworkEpoch | None,
    record: TrialRecord | None = None,
    reason: str = "",
) -> bool:
    """Mark the trial finished in hpo's and in Optuna's tables.

    Args:
        last: the last report of this attempt, None if it made none.
        record: its new record, None to keep the stored one.

    Returns:
        False if the lease was lost; then nothing is written.
    """
    tries = itertools.count()

    def write(connection: Connection) -> bool:
        if next(tries) > 0 and is_in_state(connection, held, "finished"):
            return True
        return _finish(connection, held, outcome, last, record, reason)

    return held.study.write(write)


def _record_report(connection: Connection, held: Claim, report: EpochReport) -> bool:
    study = held.study
    stages = stages_of(study.spec, planned=held.baseline is not None or study.spec.plan is not None)
    stage = Stage(len(report.fold_aucs), report.epoch)
    values = {
        **_last_values(report),
        "progress": min(1.0, trained(stages, stage) / stages[-1].cost),
        "lease_until": database_now() + study.lease,
        "lives_lost": 0,
    }
    if not update_held(connection, held, values):
        raise LeaseLost
    schema.upsert(
        connection,
        schema.reports,
        ("study_id", "epoch", "trial_number"),
        {
            "study_id": study.study_id,
            "epoch": report.epoch,
            "trial_number": held.number,
            "auc": report.auc,
            "standard_error": _finite(report.standard_error),
            "fold_aucs": json.dumps(report.fold_aucs),
            "training_auc": _finite(report.training_auc),
            "training_loss": _finite(report.training_loss),
            "seconds": report.seconds,
        },
    )
    write_report(connection, held.trial_id, report.epoch, report.auc)
    if stage not in stages:
        return True
    _store_scores(connection, held, report)
    # The last stage is the end of the trial.
    return stage == stages[-1] or make_pruner(study.spec).decide(_read_rung(connection, held, stage, report))


def _record_network(connection: Connection, held: Claim, report: NetworkEpoch) -> bool:
    values: RowValues = {
        "epoch": report.epoch,
        "progress": min(1.0, report.epoch / report.epochs),
        "lease_until": database_now() + held.study.lease,
        "lives_lost": 0,
    }
    if not update_held(connection, held, values):
        raise LeaseLost
    return True


def _store_scores(connection: Connection, held: Claim, report: EpochReport) -> None:
    """Store the out-of-fold scores of a report after which a trial can end; the samples once for all trials."""
    if not report.scores:
        return
    study_id = held.study.study_id
    kept = {fold: scores.kept() for fold, scores in enumerate(report.scores)}
    digests = {fold: scores.digest() for fold, scores in kept.items()}
    known = schema.scored_samples.c
    query = sa.select(known.digest).where(known.study_id == study_id, known.digest.in_(set(digests.values())))
    stored = set(connection.scalars(query))
    new: dict[str, RowValues] = {}
    for fold, digest in digests.items():
        if digest not in stored:
            samples, labels = kept[fold].encoded_samples()
            new[digest] = {"study_id": study_id, "digest": digest, "samples": samples, "labels": labels}
    # In the order of their keys, in which every worker locks them.
    rows = [new[digest] for digest in sorted(new)]
    schema.upsert_rows(connection, schema.scored_samples, ("study_id", "digest"), rows)
    values: list[RowValues] = [
        {
            "study_id": study_id,
            "trial_number": held.number,
            "fold": fold,
            "epoch": report.epoch,
            "digest": digests[fold],
            "logits": scores.encoded_logits(),
        }
        for fold, scores in kept.items()
    ]
    schema.upsert_rows(connection, schema.scores, ("study_id", "trial_number", "fold"), values)


def _read_rung(connection: Connection, held: Claim, stage: Stage, report: EpochReport) -> Rung:
    """Read the rung of a report, which the trial itself has reached too.

    Baselines do not count: with few trials, two good ones would keep every other from going on.
    """
    reports, trials = schema.reports.c, schema.trials.c
    query = sa.select(reports.trial_number, reports.fold_aucs)
    same = (trials.study_id == reports.study_id) & (trials.trial_number == reports.trial_number)
    query = query.select_from(schema.reports.join(schema.trials, same))
    query = query.where(
        reports.study_id == held.study.study_id, reports.epoch == stage.epochs, trials.reference.is_(None)
    )
    reached = []
    for number, stored in connection.execute(query):
        # A report after the same epoch may rest on fewer folds, or on more.
        folds = fold_aucs(stored, held.study.trial_name(number))
        if len(folds) >= stage.folds:
            reached.append(Reached(number, folds[: stage.folds]))
    auc = Reached(held.number, report.fold_aucs).auc
    reached.sort(key=lambda trial: (-trial.auc, trial.number))
    better = sum(trial.auc > auc for trial in reached)
    return Rung(stage.epochs, auc, better, len(reached), stage.folds, held.number, lambda: tuple(reached))


def _finish(
    connection: Connection,
    held: Claim,
    outcome: Outcome,
    last: EpochReport | NetworkEpoch | None,
    record: TrialRecord | None,
    reason: str,
) -> bool:
    reason = storable(reason)
    values: RowValues = {"reason": reason or None}
    shown: Attributes = {"reason": reason, "worker": held.worker}
    if record is not None:
        values["record"], shown["seconds"] = record.to_json(), record.usage.seconds
    if isinstance(last, EpochReport):
        values |= _last_values(last)
        shown["standard_error"] = last.standard_error
    return end_trial(connection, held, outcome, values, shown)


def _last_values(report: EpochReport) -> RowValues:
    return {"epoch": report.epoch, "auc": report.auc, "standard_error": _finite(report.standard_error)}


def _finite(value: float | None) -> float | None:
    """Return None for NaN and infinity, which MySQL cannot store."""
    return value if value is not None and math.isfinite(value) else None


def end_trial(connection: Connection, held: Claim, outcome: Outcome, values: RowValues, shown: Attributes) -> bool:
    """Finish the trial if this claim still holds it; return whether it does.

    Args:
        values: further columns of its row.
        shown: attributes for Optuna's readers; those that are None or empty are omitted.
    """
    ended = {"state": "finished", "outcome": outcome, "lease_until": None, "ended": database_now(), **values}
    if not update_held(connection, held, ended):
        return False
    value = None if outcome == "failed" else _last_auc(connection, held, values)
    state = _OPTUNA_STATES[outcome]
    if outcome == "complete" and value is None:
        # Optuna, and with it the dashboard, fails to find the best trial if a complete one has no value.
        state, shown = _OPTUNA_STATES["pruned"], {**shown, "outcome": "complete, without a validation AUC"}
    attributes: Attributes = {key: text for key, text in shown.items() if text not in ("", None)}
    write_end(connection, held.trial_id, state, value, attributes)
    # Last, because every claim locks the row of the study. A claim that takes over this trial locks the two rows in the
    # opposite order; the database detects the deadlock and one transaction is retried.
    count_ended(connection, held.study.study_id, failed=outcome == "failed")
    return True


def _last_auc(connection: Connection, held: Claim, values: RowValues) -> float | None:
    """Return the AUC of the last report; that of an earlier attempt, if this one had nothing left to train."""
    if "auc" in values:
        return float(values["auc"])
    trials = schema.trials.c
    query = sa.select(trials.auc).where(trials.study_id == held.study.study_id, trials.place == held.slot)
    stored: float | None = connection.scalar(query)
    return stored


def count_ended(connection: Connection, study_id: int, *, failed: bool) -> None:
    """Increment the counters of finished and failed trials in the study's row."""
    counters = schema.studies.c
    change = sa.update(schema.studies).where(counters.study_id == study_id)
    connection.execute(change.values(finished=counters.finished + 1, failed=counters.failed + int(failed)))


def failed_by_death(connection: Connection, held: Claim, deaths: int) -> bool:
    """Mark a trial failed whose workers died repeatedly without a report in between, probably due to its settings."""
    reason = (
        f"its worker died {deaths} times in a row without reporting an epoch; was it killed for its memory? See the "
        "worker's log and `dmesg`"
    )
    return end_trial(connection, held, "failed", {"reason": reason}, {"reason": reason})


def dropped(connection: Connection, held: Claim, reason: str) -> bool:
    """Mark a planned trial pruned whose candidate has been eliminated by racing."""
    return end_trial(connection, held, "pruned", {"reason": reason}, {"reason": reason})
