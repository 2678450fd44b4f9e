"""The end of a trial: hpo's row, the study's counters and Optuna's trial, in one transaction."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.database.schema import database_now
from hpo.search.queue.lease import Claim, update_held
from hpo.search.queue.optuna_mirror import write_end

Outcome = Literal["complete", "pruned", "failed"]

_OPTUNA_STATES: dict[Outcome, str] = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


def end_trial(
    connection: Connection, held: Claim, outcome: Outcome, values: dict[str, Any], shown: dict[str, Any]
) -> bool:
    """Ends the trial if it is still held; whether it was.

    values: further columns of its row. shown: attributes for Optuna's readers; those that are None or empty are left
    out. The study's row, which every claim locks, comes last, to be locked as shortly as can be. A claim that takes
    over the very trial that ends here waits for it the other way round; the database finds that and one runs again.
    """
    ended = {"state": "finished", "outcome": outcome, "lease_until": None, "ended": database_now(), **values}
    if not update_held(connection, held, ended):
        return False
    reached = None if outcome == "failed" else _last_auc(connection, held, values)
    attributes = {key: value for key, value in shown.items() if value not in ("", None)}
    write_end(connection, held.trial_id, _OPTUNA_STATES[outcome], reached, attributes)
    count_ended(connection, held.study.study_id, failed=outcome == "failed")
    return True


def _last_auc(connection: Connection, held: Claim, values: dict[str, Any]) -> float | None:
    """Of the last report; of an earlier life's, if this one had nothing left to train."""
    if "auc" in values:
        return float(values["auc"])
    trials = schema.trials.c
    query = sa.select(trials.auc).where(trials.study_id == held.study.study_id, trials.place == held.place)
    stored: float | None = connection.scalar(query)
    return stored


def count_ended(connection: Connection, study_id: int, *, failed: bool) -> None:
    """Counts one more finished trial in the study's row."""
    counters = schema.studies.c
    change = sa.update(schema.studies).where(counters.study_id == study_id)
    connection.execute(change.values(finished=counters.finished + 1, failed=counters.failed + int(failed)))


def failed_by_death(connection: Connection, held: Claim, deaths: int) -> bool:
    """Ends a trial whose workers died time after time with no report between, as the doing of its configuration."""
    reason = (
        f"its worker died {deaths} times in a row with no epoch reported between; was it killed for its memory? The "
        "worker's log and `dmesg` tell"
    )
    return end_trial(connection, held, "failed", {"reason": reason}, {"reason": reason})


def dropped(connection: Connection, held: Claim, reason: str) -> bool:
    """Ends a planned trial whose candidate has left the race; it counts as pruned, with the reason."""
    return end_trial(connection, held, "pruned", {"reason": reason}, {"reason": reason})
