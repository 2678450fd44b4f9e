"""What a trial writes while and after it trains, in Optuna's tables and in hpo's, one transaction each."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.database.schema import database_now
from hpo.search.queue.ending import Outcome, end_trial
from hpo.search.queue.lease import Claim, has_become, update_held
from hpo.search.queue.optuna_mirror import write_report
from hpo.search.strategy.asha import decide, rungs
from hpo.training.report import EpochReport

__all__ = ["LeaseLost", "Outcome", "finish", "record_report"]


class LeaseLost(Exception):  # noqa: N818 - an event, not an error
    """Another worker has the trial now; nothing more may be written for it."""


def record_report(held: Claim, report: EpochReport) -> bool:
    """Stores one epoch and prolongs the lease; whether the trial goes on. Raises LeaseLost.

    A second report of the same epoch, after a resume or a lost answer, replaces the first.
    """
    return held.study.database.write(lambda connection: _record_report(connection, held, report))


def finish(held: Claim, outcome: Outcome, last: EpochReport | None, record: dict[str, Any], reason: str = "") -> bool:
    """Ends the trial in both rooms of the database; False, and nothing written, if the lease was lost."""
    tries = itertools.count()

    def write(connection: Connection) -> bool:
        if next(tries) > 0 and has_become(connection, held, "finished"):
            return True
        return _finish(connection, held, outcome, last, record, reason)

    return held.study.database.write(write)


def _record_report(connection: Connection, held: Claim, report: EpochReport) -> bool:
    study = held.study
    values = {
        **_last_values(report),
        "progress": report.epoch / study.spec.budget.epochs,
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
    if held.reference or report.epoch not in rungs(study.spec):
        return True
    return decide(connection, study.study_id, report.epoch, report.auc, study.spec.search.reduction)


def _finish(
    connection: Connection, held: Claim, outcome: Outcome, last: EpochReport | None, record: dict[str, Any], reason: str
) -> bool:
    values: dict[str, Any] = {"reason": reason or None, "record": json.dumps(record)}
    shown = {"reason": reason, "seconds": record.get("seconds"), "worker": held.worker}
    if last is not None:
        values |= _last_values(last)
        shown["standard_error"] = last.standard_error
    return end_trial(connection, held, outcome, values, shown)


def _last_values(report: EpochReport) -> dict[str, Any]:
    return {"epoch": report.epoch, "auc": report.auc, "standard_error": _finite(report.standard_error)}


def _finite(value: float | None) -> float | None:
    """None for what MySQL has no number for."""
    return value if value is not None and math.isfinite(value) else None
