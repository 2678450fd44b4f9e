"""`Claim`: a worker's lease on one trial, and updates of the trial's row that require it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.database.schema import RowValues
from hpo.search.study import Study
from hpo.study.record import TrialRecord

_trials = schema.trials.c


@dataclass(frozen=True)
class Claim:
    """A worker's lease on one trial.

    Attributes:
        slot: number of its slot of the budget, from 0.
        number: of the trial.
        trial_id: in Optuna's tables.
        fence: fencing token, which grows with each claim of the trial.
        attempt: name of this claim, unlike those of all others, also in another copy of the database.
        baseline: name if the trial is a baseline, else None.
        record: None until one is stored.
        epoch: last epoch that an earlier worker reported.
        checkpoint: where that worker kept its checkpoints, HOST:FOLDER.
    """

    study: Study
    slot: int
    number: int
    trial_id: int
    fence: int
    worker: str
    baseline: str | None
    record: TrialRecord | None
    epoch: int | None = None
    checkpoint: str | None = None
    attempt: str = ""


def update_held(connection: Connection, held: Claim, values: RowValues, *, state: str = "claimed") -> bool:
    """Update the trial's row if this claim still holds it, judging by the fencing token; return whether it does.

    It does not hold it if the study has been deleted.
    """
    change = (
        sa.update(schema.trials)
        .where(
            _trials.study_id == held.study.study_id,
            _trials.place == held.slot,
            _trials.fence == held.fence,
            _trials.state == state,
            *held.study.is_in_optuna(connection),
        )
        .values(values)
    )
    return connection.execute(change).rowcount == 1


def is_in_state(connection: Connection, held: Claim, state: str) -> bool:
    """Return whether this claim already moved the trial to `state`: an earlier commit whose reply was lost."""
    query = sa.select(sa.func.count()).where(
        _trials.study_id == held.study.study_id,
        _trials.place == held.slot,
        _trials.fence == held.fence,
        _trials.state == state,
    )
    return connection.scalar(query) == 1
