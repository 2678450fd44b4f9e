"""A worker's right to one trial, and the one way to change a trial's row by it."""

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
    """A worker's right to one trial. fence: grows each time the trial changes hands. record: None until stored.

    epoch: of the last report, by an earlier worker. checkpoint: where that worker kept its checkpoints, HOST:FOLDER.
    """

    study: Study
    place: int
    number: int
    trial_id: int
    fence: int
    worker: str
    reference: str | None
    record: TrialRecord | None
    epoch: int | None = None
    checkpoint: str | None = None


def update_held(connection: Connection, held: Claim, values: RowValues, *, state: str = "claimed") -> bool:
    """Changes the trial's row if it is still held under this fencing number; whether it was."""
    change = (
        sa.update(schema.trials)
        .where(
            _trials.study_id == held.study.study_id,
            _trials.place == held.place,
            _trials.fence == held.fence,
            _trials.state == state,
        )
        .values(values)
    )
    return connection.execute(change).rowcount == 1


def is_in_state(connection: Connection, held: Claim, state: str) -> bool:
    """Whether the trial is in this state by this very claim: what was to be written had been, its answer was lost."""
    query = sa.select(sa.func.count()).where(
        _trials.study_id == held.study.study_id,
        _trials.place == held.place,
        _trials.fence == held.fence,
        _trials.state == state,
    )
    return connection.scalar(query) == 1
