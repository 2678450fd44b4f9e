"""Make finished trials claimable again, whose result was lost or which failed."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.database.optuna_mirror import reopen_trials
from hpo.search.database.schema import RowValues
from hpo.search.study import Study

_trials = schema.trials.c


def reopen(study: Study, slots: Collection[int]) -> None:
    """Make the finished trials of these slots of the budget free, to be claimed and trained again.

    Raises:
        StudyNotFoundError: if the study has been deleted.
    """
    study.write(lambda connection: _reopen(connection, study, slots))


def _reopen(connection: Connection, study: Study, slots: Collection[int]) -> None:
    counters = schema.studies.c
    # First, as every claim does, so that the counters and the trials change together.
    lock = sa.select(counters.study_id).where(*study.is_there()).with_for_update(key_share=True)
    if connection.scalar(lock) is None:
        raise study.deleted()
    ended = (_trials.study_id == study.study_id) & (_trials.state == "finished")
    query = sa.select(_trials.place, _trials.trial_id, _trials.outcome).where(ended).with_for_update()
    rows = [row for row in connection.execute(query) if row.place in slots]
    for row in rows:
        values: RowValues = dict.fromkeys(("outcome", "reason", "ended", "epoch", "auc", "standard_error"))
        values |= {"state": "free", "progress": 0.0, "lives_lost": 0}
        here = (_trials.study_id == study.study_id) & (_trials.place == row.place)
        connection.execute(sa.update(schema.trials).where(here).values(values))
    reopen_trials(connection, [row.trial_id for row in rows])
    failed = sum(row.outcome == "failed" for row in rows)
    change = sa.update(schema.studies).where(counters.study_id == study.study_id)
    connection.execute(change.values(finished=counters.finished - len(rows), failed=counters.failed - failed))
