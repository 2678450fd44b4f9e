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

from hpo.search.tables import upsert_rows


def new_trial(connection: Connection, storage: Any, study_id: int, template: Any) -> tuple[int, int]:
    """Makes a trial through Optuna's storage on this transaction; its id and its number."""
    from optuna.storages._rdb import models

    trial_id = int(storage.create_new_trial(study_id, template))
    trials = models.TrialModel.__table__
    number: int = connection.execute(sa.select(trials.c.number).where(trials.c.trial_id == trial_id)).scalar_one()
    return trial_id, number


def write_params(connection: Connection, trial_id: int, drawn: dict[str, tuple[float, Any]]) -> None:
    """Stores what was drawn: name to (value in Optuna's internal form, distribution)."""
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


def write_end(
    connection: Connection, trial_id: int, state: str, value: float | None, attributes: dict[str, Any]
) -> None:
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
