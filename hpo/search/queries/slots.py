"""How the slots of a study's budget ended."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study

_trials = schema.trials.c


@dataclass(frozen=True)
class SlotEnd:
    """How the trial of a slot ended.

    Attributes:
        outcome: complete, pruned or failed.
        reason: in words; None for most complete trials.
    """

    outcome: str
    reason: str | None


def read_ends(study: Study) -> dict[int, SlotEnd]:
    """Return the ends of finished trials by their slots, from 0."""
    query = sa.select(_trials.place, _trials.outcome, _trials.reason)
    query = query.where(_trials.study_id == study.study_id, _trials.state == "finished").order_by(_trials.place)
    rows = study.database.read(lambda connection: connection.execute(query).all())
    return {row.place: SlotEnd(row.outcome, row.reason) for row in rows}
