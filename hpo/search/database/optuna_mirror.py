"""Mirror hpo's trials in Optuna's own tables, for its dashboard and command line; written, never read back.

The only file that imports Optuna's private table definitions. hpo's own tables are authoritative; the mirror is written
in the same transactions. Optuna's storage needs a transaction and several queries for each parameter, report and
attribute: 398 round trips for a trial of 10 settings and 20 reports. These functions need one statement each. A test
reads every row back through Optuna's public storage.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StorageError
from hpo.search.database.schema import FORMER_NAMES, upsert_rows

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Attributes = dict[str, str | float | None]
"""User attributes of a trial, for Optuna's readers."""

Drawn = dict[str, tuple[float, "BaseDistribution"]]
"""Name of a setting to its value in Optuna's internal form and its distribution."""

_BATCH = 500
"""Number of trials whose rows are deleted by one statement."""

COLUMNS = {
    "studies": ("study_id", "study_name"),
    "study_directions": ("study_id", "objective", "direction"),
    "study_system_attributes": ("study_id", "key", "value_json"),
    "trials": ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
    "trial_params": ("trial_id", "param_name", "param_value", "distribution_json"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_intermediate_values": ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
    "trial_user_attributes": ("trial_id", "key", "value_json"),
}
"""Columns that hpo writes, by table."""


@functools.cache
def optuna_tables() -> Mapping[str, sa.Table]:
    """Return Optuna's tables by name.

    Raises:
        StorageError: if those of the installed Optuna do not match what hpo writes.
    """
    try:
        from optuna.storages._rdb import models
    except ImportError as error:
        raise StorageError(_unknown_optuna([f"its table definitions cannot be imported ({error})"])) from error
    found: Mapping[str, sa.Table] = models.BaseModel.metadata.tables
    if problems := changed_columns(found):
        raise StorageError(_unknown_optuna(problems))
    return found


def changed_columns(tables: Mapping[str, sa.Table]) -> list[str]:
    """List the differences that keep hpo from writing these tables of Optuna's, one for each table or column."""
    problems = []
    for name, written in COLUMNS.items():
        if name not in tables:
            problems.append(f"it has no table {name}")
            continue
        columns = tables[name].columns
        problems += [f"its table {name} has no column {column}" for column in written if column not in columns]
        problems += [
            f"its table {name} requires a column {column.name}, which hpo does not write"
            for column in columns
            if column.name not in written and _must_be_given(column)
        ]
    return problems


def _must_be_given(column: sa.Column[Any]) -> bool:
    given_by_database = column.primary_key or column.default is not None or column.server_default is not None
    return not column.nullable and not given_by_database


def _unknown_optuna(problems: list[str]) -> str:
    import optuna

    return "\n  ".join(
        [
            f"hpo cannot write the tables of Optuna {optuna.__version__}:",
            *problems,
            "Install the version of Optuna that this hpo was tested with (requirements.lock).",
        ]
    )


def optuna_revision() -> str:
    """Return the version of the installed Optuna's tables, as stored in its table alembic_version."""
    import optuna
    from alembic.script import ScriptDirectory

    folder = Path(optuna.__file__).parent / "storages" / "_rdb" / "alembic"
    return ScriptDirectory(str(folder)).get_current_head() or ""


def new_study(connection: Connection, name: str, metric: str) -> int:
    """Create a study that maximizes `metric`; return its id.

    Raises:
        DuplicatedStudyError: Optuna's, if a study of that name exists.
    """
    from optuna.exceptions import DuplicatedStudyError

    try:
        study_id = _insert_one(connection, optuna_tables()["studies"], {"study_name": name})
    except sa.exc.IntegrityError as error:
        raise DuplicatedStudyError from error
    direction = {"study_id": study_id, "objective": 0, "direction": "MAXIMIZE"}
    connection.execute(sa.insert(optuna_tables()["study_directions"]).values(direction))
    shown = {"study_id": study_id, "key": "study:metric_names", "value_json": json.dumps([metric])}
    connection.execute(sa.insert(optuna_tables()["study_system_attributes"]).values(shown))
    return study_id


def rename_study(connection: Connection, study_id: int, name: str) -> None:
    """Give a study another name."""
    studies = optuna_tables()["studies"]
    connection.execute(sa.update(studies).where(studies.c.study_id == study_id).values(study_name=name))


def delete_study(connection: Connection, study_id: int) -> None:
    """Delete a study from every table of Optuna, with its trials."""
    studies, trials = optuna_tables()["studies"], optuna_tables()["trials"]
    # Locking reads see trials that were created since this transaction began, which MySQL's other reads do not.
    connection.execute(sa.select(studies.c.study_id).where(studies.c.study_id == study_id).with_for_update())
    query = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
    ids = connection.scalars(query.with_for_update()).all()
    for table in reversed(studies.metadata.sorted_tables):
        if "study_id" in table.c:
            connection.execute(sa.delete(table).where(table.c.study_id == study_id))
            continue
        # By key and in batches: a subquery makes MariaDB scan, and lock, the rows of all studies.
        for first in range(0, len(ids) if "trial_id" in table.c else 0, _BATCH):
            batch = ids[first : first + _BATCH]
            connection.execute(sa.delete(table).where(table.c.trial_id.in_(batch)))


def write_former_names(connection: Connection, study_id: int, names: Sequence[str]) -> None:
    """Store the names that a study had before."""
    row = {"study_id": study_id, "key": FORMER_NAMES, "value_json": json.dumps(list(names))}
    upsert_rows(connection, optuna_tables()["study_system_attributes"], ("study_id", "key"), [row])


def new_trial(connection: Connection, study_id: int, template: FrozenTrial | None = None) -> tuple[int, int]:
    """Create a running trial with the parameters and user attributes of `template`; return its id and its number."""
    studies, trials = optuna_tables()["studies"], optuna_tables()["trials"]
    # Lock the row of the study, as Optuna does, so that a trial created through Optuna gets another number.
    connection.execute(sa.select(studies.c.study_id).where(studies.c.study_id == study_id).with_for_update())
    last = sa.select(trials.c.number).where(trials.c.study_id == study_id).order_by(trials.c.trial_id.desc()).limit(1)
    newest = connection.scalar(last)
    number = 0 if newest is None else int(newest) + 1
    row = {"number": number, "study_id": study_id, "state": "RUNNING", "datetime_start": _now()}
    trial_id = _insert_one(connection, trials, row)
    if template is not None:
        kinds = template.distributions
        drawn = {name: (kinds[name].to_internal_repr(value), kinds[name]) for name, value in template.params.items()}
        write_params(connection, trial_id, drawn)
        _write_attributes(connection, trial_id, template.user_attrs)
    return trial_id, number


def write_params(connection: Connection, trial_id: int, drawn: Drawn) -> None:
    """Store sampled parameters."""
    from optuna.distributions import distribution_to_json

    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": value,
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in drawn.items()
    ]
    upsert_rows(connection, optuna_tables()["trial_params"], ("trial_id", "param_name"), rows)


def widen_params(connection: Connection, study_id: int, name: str, distribution: BaseDistribution) -> None:
    """Give a parameter of all trials of a study another distribution, which contains their values.

    Optuna's tools compare trials of equal distributions only, and store a choice as its place in the list.
    """
    from optuna.distributions import distribution_to_json, json_to_distribution

    params, trials = optuna_tables()["trial_params"], optuna_tables()["trials"]
    query = (
        sa.select(params.c.trial_id, params.c.param_value, params.c.distribution_json)
        .select_from(params.join(trials, trials.c.trial_id == params.c.trial_id))
        .where(trials.c.study_id == study_id, params.c.param_name == name)
    )
    wide = distribution_to_json(distribution)
    rows = [
        {
            "trial_id": row.trial_id,
            "param_name": name,
            "param_value": _converted(row.param_value, json_to_distribution(row.distribution_json), distribution),
            "distribution_json": wide,
        }
        for row in connection.execute(query).all()
        if row.distribution_json != wide
    ]
    for first in range(0, len(rows), _BATCH):
        upsert_rows(
            connection,
            optuna_tables()["trial_params"],
            ("trial_id", "param_name"),
            rows[first : first + _BATCH],
        )


def widen_drawn(drawn: Drawn, distributions: Mapping[str, BaseDistribution]) -> Drawn:
    """Give sampled parameters other distributions, which contain their values, as `widen_params` does."""
    return {
        name: (_converted(value, kind, distributions[name]), distributions[name])
        for name, (value, kind) in drawn.items()
    }


def _converted(value: float, old: BaseDistribution, new: BaseDistribution) -> float:
    """Convert the internal form of a value from one distribution to another."""
    return new.to_internal_repr(old.to_external_repr(value))


def write_report(connection: Connection, trial_id: int, step: int, value: float) -> None:
    """Store an intermediate value, replacing that of the same step."""
    stored, kind = _as_stored(value)
    row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
    upsert_rows(connection, optuna_tables()["trial_intermediate_values"], ("trial_id", "step"), [row])


def write_end(connection: Connection, trial_id: int, state: str, value: float | None, attributes: Attributes) -> None:
    """Finish a trial with a state (Optuna's name), a value unless it is None, and user attributes.

    A trial that a user finished through Optuna, for instance in its dashboard, stays as it is there.
    """
    trials = optuna_tables()["trials"]
    change = (
        sa.update(trials)
        .where(trials.c.trial_id == trial_id, trials.c.state == "RUNNING")
        .values(state=state, datetime_complete=_now())
    )
    if connection.execute(change).rowcount == 0:
        return
    if value is not None:
        stored, kind = _as_stored(value)
        row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
        upsert_rows(connection, optuna_tables()["trial_values"], ("trial_id", "objective"), [row])
    _write_attributes(connection, trial_id, attributes)


def reopen_trials(connection: Connection, trial_ids: Sequence[int]) -> None:
    """Make finished trials running ones again, without a value and a reason."""
    tables = optuna_tables()
    trials, values, attributes = tables["trials"], tables["trial_values"], tables["trial_user_attributes"]
    for first in range(0, len(trial_ids), _BATCH):
        batch = trial_ids[first : first + _BATCH]
        connection.execute(sa.delete(values).where(values.c.trial_id.in_(batch)))
        why = (attributes.c.trial_id.in_(batch)) & (attributes.c.key == "reason")
        connection.execute(sa.delete(attributes).where(why))
        change = sa.update(trials).where(trials.c.trial_id.in_(batch))
        connection.execute(change.values(state="RUNNING", datetime_complete=None))


def _write_attributes(connection: Connection, trial_id: int, attributes: dict[str, Any]) -> None:
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
    upsert_rows(connection, optuna_tables()["trial_user_attributes"], ("trial_id", "key"), rows)


def _insert_one(connection: Connection, table: sa.Table, row: dict[str, Any]) -> int:
    key = connection.execute(sa.insert(table).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _now() -> datetime:
    """Return the time as Optuna 5 stores it: naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def _as_stored(value: float) -> tuple[float | None, str]:
    """Return a value and its kind in Optuna's form; not every server can store NaN and infinity."""
    if math.isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"
