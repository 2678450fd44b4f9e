"""Rows that hpo writes into Optuna's own tables, inside its own transactions.

Optuna's storage takes a transaction and several queries for each parameter, report and attribute: 390 round trips for
a trial of 10 settings and 20 reports. These take one statement each. Written with Optuna's own table objects; a test
reads every one of them back through Optuna's public storage.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database.schema import upsert_rows

Attributes = dict[str, str | float | None]
"""User attributes of a trial, for Optuna's readers."""

Drawn = dict[str, tuple[float, Any]]
"""Name of a setting to its value in Optuna's internal form and its distribution."""


def new_trial(connection: Connection, study_id: int) -> tuple[int, int]:
    """Makes a running trial without parameters; its id and its number, the next of the study.

    Optuna's row of the study is locked, as Optuna does, so that a trial made through it gets another number.
    """
    from optuna.storages._rdb import models
    from optuna.trial import TrialState

    studies: Any = models.StudyModel.__table__
    connection.execute(sa.select(studies.c.study_id).where(studies.c.study_id == study_id).with_for_update())
    trials: Any = models.TrialModel.__table__
    last = sa.select(trials.c.number).where(trials.c.study_id == study_id).order_by(trials.c.trial_id.desc()).limit(1)
    newest = connection.scalar(last)
    number = 0 if newest is None else int(newest) + 1
    row = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": datetime.now()}
    key = connection.execute(sa.insert(trials).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0]), number


def new_trial_like(connection: Connection, storage: Any, study_id: int, template: Any) -> tuple[int, int]:
    """Makes a trial from Optuna's template through Optuna's storage on this transaction; its id and its number."""
    from optuna.storages._rdb import models

    trial_id = int(storage.create_new_trial(study_id, template))
    trials: Any = models.TrialModel.__table__
    return trial_id, int(
        connection.execute(sa.select(trials.c.number).where(trials.c.trial_id == trial_id)).scalar_one()
    )


def write_params(connection: Connection, trial_id: int, drawn: Drawn) -> None:
    """Stores what was drawn."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models

    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": value,
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in drawn.items()
    ]
    upsert_rows(connection, models.TrialParamModel.__table__, ("trial_id", "param_name"), rows)


def write_report(connection: Connection, trial_id: int, step: int, value: float) -> None:
    """Stores an intermediate value, over the one of the same step."""
    from optuna.storages._rdb import models

    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    row = {
        "trial_id": trial_id,
        "step": step,
        "intermediate_value": stored,
        "intermediate_value_type": kind,
    }
    upsert_rows(connection, models.TrialIntermediateValueModel.__table__, ("trial_id", "step"), [row])


def write_end(connection: Connection, trial_id: int, state: str, value: float | None, attributes: Attributes) -> None:
    """Ends a trial: its state by Optuna's name, its value unless None, its user attributes.

    A trial that someone has ended through Optuna, for instance in its dashboard, stays as they ended it; hpo's own
    tables decide for hpo.
    """
    from optuna.storages._rdb import models
    from optuna.trial import TrialState

    trials = models.TrialModel.__table__
    change = (
        sa.update(trials)
        .where(trials.c.trial_id == trial_id, trials.c.state == TrialState.RUNNING)
        .values(state=TrialState[state], datetime_complete=datetime.now())
    )
    if connection.execute(change).rowcount == 0:
        return
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
        upsert_rows(connection, models.TrialValueModel.__table__, ("trial_id", "objective"), [row])
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(given)} for key, given in attributes.items()]
    upsert_rows(connection, models.TrialUserAttributeModel.__table__, ("trial_id", "key"), rows)
