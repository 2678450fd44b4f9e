"""What a trial writes while and after it trains, in Optuna's tables and in hpo's, one transaction each."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from sqlalchemy.engine import Connection

from hpo.search import tables
from hpo.search.budget import Claim, update_held
from hpo.search.pruner import decide, rungs
from hpo.search.tables import database_now
from hpo.search.trainer import Report

Outcome = Literal["complete", "pruned", "failed"]


class LeaseLost(Exception):  # noqa: N818 - an event, not an error
    """Another worker has the trial now; nothing more may be written for it."""


def record_report(held: Claim, report: Report) -> bool:
    """Stores one epoch and prolongs the lease; whether the trial goes on. Raises LeaseLost."""
    return held.study.database.write(lambda connection: _record_report(connection, held, report))


def finish(held: Claim, outcome: Outcome, last: Report | None, record: dict[str, Any], reason: str = "") -> bool:
    """Ends the trial in both rooms of the database; False, and nothing written, if the lease was lost."""
    return held.study.database.write(lambda connection: _finish(connection, held, outcome, last, record, reason))


def _record_report(connection: Connection, held: Claim, report: Report) -> bool:
    study = held.study
    values = {
        **_last_values(report),
        "progress": report.epoch / study.spec.budget.epochs,
        "lease_until": database_now() + study.lease,
    }
    if not update_held(connection, held, values):
        raise LeaseLost
    tables.upsert(
        connection,
        tables.reports,
        ("study_id", "epoch", "trial_number"),
        {
            "study_id": study.study_id,
            "epoch": report.epoch,
            "trial_number": held.number,
            "auc": report.auc,
            "standard_error": _finite(report.standard_error),
            "fold_aucs": json.dumps(list(report.fold_aucs)),
            "training_auc": _finite(report.training_auc),
            "training_loss": _finite(report.training_loss),
            "seconds": report.seconds,
        },
    )
    _tell_optuna(held, connection, "set_trial_intermediate_value", report.epoch, report.auc)
    if held.reference or report.epoch not in rungs(study.spec):
        return True
    return decide(connection, study.study_id, report.epoch, report.auc, study.spec.search.reduction)


def _finish(
    connection: Connection, held: Claim, outcome: Outcome, last: Report | None, record: dict[str, Any], reason: str
) -> bool:
    from optuna.trial import TrialState

    values: dict[str, Any] = {
        "state": "finished",
        "outcome": outcome,
        "reason": reason or None,
        "record": json.dumps(record),
        "lease_until": None,
        "ended": database_now(),
    }
    if last is not None:
        values |= _last_values(last)
    if not update_held(connection, held, values):
        return False
    shown = {"reason": reason, "seconds": record.get("seconds"), "worker": held.worker}
    if last is not None:
        shown["standard_error"] = last.standard_error
    for key, value in shown.items():
        if value not in ("", None):
            _tell_optuna(held, connection, "set_trial_user_attr", key, value)
    state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[outcome]
    reached = [last.auc] if last is not None and outcome != "failed" else None
    _tell_optuna(held, connection, "set_trial_state_values", state, reached)
    return True


def _tell_optuna(held: Claim, connection: Connection, method: str, *arguments: Any) -> None:
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        getattr(held.study.database.optuna_within(connection), method)(held.trial_id, *arguments)
    except UpdateFinishedTrialError:
        # Someone ended the trial through Optuna, for instance in its dashboard; hpo's own tables decide.
        return


def _last_values(report: Report) -> dict[str, Any]:
    return {"epoch": report.epoch, "auc": report.auc, "standard_error": _finite(report.standard_error)}


def _finite(value: float | None) -> float | None:
    """None for what MySQL has no number for."""
    return value if value is not None and math.isfinite(value) else None
