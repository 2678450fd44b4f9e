"""Finished trials in bulk: what a study under successive halving leaves in Optuna's tables and in hpo's."""

from __future__ import annotations

import datetime
import json
import random
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from sqlalchemy.engine import Connection

from benchmarks.cost.question import EPOCHS, REDUCTION, RUNGS, SPEC, STUDY, free_record, random_auc, random_params
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.strategy.sampler import distribution
from hpo.study.space import Choices

Rows = dict[str, list[dict[str, Any]]]


def fill(address: str, finished: int) -> None:
    """Makes the study with this many finished trials; both hpo and stock Optuna can go on with it.

    One trial in REDUCTION goes on at each rung. Stock's own pruner finds the values at the rungs that it would have
    noted itself.
    """
    database = open_database(resolve_address(address), create=True)
    study = create_or_open(database, STUDY, SPEC)
    chance = random.Random(finished)
    texts = {name: distribution_to_json(distribution(entry)) for name, entry in SPEC.space.items()}
    rows: Rows = defaultdict(list)
    for number in range(finished):
        _add(rows, study.study_id, number, chance, texts)
    with database.engine.begin() as connection:
        for name in ("trials", "trial_params", "trial_values", "trial_intermediate_values", "trial_system_attributes"):
            _insert(connection, optuna_tables()[name], rows[name])
        _insert(connection, schema.trials, rows["hpo_trial"])
        _insert(connection, schema.reports, rows["hpo_report"])
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT setval('trials_trial_id_seq', :last)"), {"last": max(1, finished)})
        counters = {"finished": finished, "failed": 0, "places": finished}
        connection.execute(sa.update(schema.studies).values(counters))
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    database.close()


def _add(rows: Rows, study_id: int, number: int, chance: random.Random, texts: dict[str, str]) -> None:
    trial_id, now = number + 1, datetime.datetime(2026, 11, 1)
    last = next((rung for rung in RUNGS if chance.random() > 1 / REDUCTION), EPOCHS)
    curve = {epoch: random_auc(chance) for epoch in range(1, last + 1)}
    params = random_params(chance)
    state = "COMPLETE" if last == EPOCHS else "PRUNED"
    times = {"datetime_start": now, "datetime_complete": now + datetime.timedelta(minutes=last)}
    rows["trials"].append({"trial_id": trial_id, "number": number, "study_id": study_id, "state": state, **times})
    for name, value in params.items():
        entry = SPEC.space[name]
        internal = entry.choices.index(value) if isinstance(entry, Choices) else value
        param = {"trial_id": trial_id, "param_name": name, "param_value": internal, "distribution_json": texts[name]}
        rows["trial_params"].append(param)
    reached: dict[str, Any] = {"trial_id": trial_id, "objective": 0, "value": curve[last], "value_type": "FINITE"}
    rows["trial_values"].append(reached)
    for rung, epoch in enumerate(epoch for epoch in RUNGS if epoch <= last):
        attribute = {"trial_id": trial_id, "key": f"completed_rung_{rung}", "value_json": json.dumps(curve[epoch])}
        rows["trial_system_attributes"].append(attribute)
    for epoch, auc in curve.items():
        step: dict[str, Any] = {
            "trial_id": trial_id,
            "step": epoch,
            "intermediate_value": auc,
            "intermediate_value_type": "FINITE",
        }
        rows["trial_intermediate_values"].append(step)
        report: dict[str, Any] = {
            "study_id": study_id,
            "epoch": epoch,
            "trial_number": number,
            "auc": auc,
            "standard_error": 0.01,
        }
        report |= {"fold_aucs": "[0.8, 0.8, 0.8, 0.8, 0.8]", "training_auc": 0.9, "training_loss": 0.1, "seconds": 10.0}
        rows["hpo_report"].append(report)
    own: dict[str, Any] = {
        "study_id": study_id,
        "place": number,
        "trial_number": number,
        "trial_id": trial_id,
        "state": "finished",
    }
    own |= {"worker": "filled", "fence": 1, "progress": 1.0, "started": 1.0, "ended": 2.0, "epoch": last}
    own |= {
        "outcome": "complete" if last == EPOCHS else "pruned",
        "auc": curve[last],
        "record": free_record(params).to_json(),
    }
    rows["hpo_trial"].append(own)


def _insert(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 5000):
        connection.execute(sa.insert(table), rows[start : start + 5000])
