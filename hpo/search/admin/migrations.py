"""Migrate the tables of an older hpo to the current version, step by step, together with Optuna's own tables.

Each step spells out its columns, because `hpo.search.database.schema` keeps changing. MySQL commits after each change
of a table, so each step is idempotent: after an interruption it is run again and makes only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, Connection

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.address import shown
from hpo.search.database.database import check_version, stored_version
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import as_hpo_error, check_sqlite_folder
from hpo.search.database.locks import exclusive


@dataclass(frozen=True)
class Upgrade:
    """Result of an upgrade.

    Attributes:
        before: version of hpo's tables before it.
        after: version of hpo's tables now.
        optuna: whether Optuna's tables changed.
    """

    before: int
    after: int
    optuna: bool


def upgrade(url: URL) -> Upgrade:
    """Upgrade the tables of a database to the versions of this hpo and of the installed Optuna, keeping their contents.

    Safe to call from several processes at once. Workers of the older hpo must have ended.

    Raises:
        StorageError: if there are no tables, or those of a newer hpo.
        OutputError: if the disk is full.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create=False)
    engine = make_engine(url)
    try:
        with as_hpo_error(url), exclusive(engine, "schema"):
            before = stored_version(engine)
            if before is None:
                raise StorageError(f"{shown(url)} has no hpo tables; create them with `hpo db init`")
            if before > schema.SCHEMA_VERSION:
                check_version(url, before)
            for version in range(before, schema.SCHEMA_VERSION):
                with engine.begin() as connection:
                    STEPS[version](Operations(MigrationContext.configure(connection)), connection)
                    connection.execute(sa.update(schema.version).values(version=version + 1))
            return Upgrade(before, schema.SCHEMA_VERSION, _upgrade_optuna(url))
    finally:
        engine.dispose()


def _upgrade_optuna(url: URL) -> bool:
    from hpo.search.database.optuna_storage import plain_storage

    storage = plain_storage(url, check=False)
    try:
        if storage.get_current_version() == storage.get_head_version():
            return False
        if storage.get_current_version() not in storage.get_all_versions():
            raise StorageError(f"{shown(url)} has tables of a newer Optuna than the one installed here; update Optuna")
        storage.upgrade()
        return True
    finally:
        storage.engine.dispose()


def _to_2(operations: Operations, connection: Connection) -> None:
    """Add stop requests, counters, claim tokens and attempts of trials; add the tables of workers and Slurm jobs."""
    now = _Tables(operations, connection)
    for name in ("finished", "failed", "places"):
        now.add("hpo_study", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    now.add("hpo_study", sa.Column("stop_before", sa.Double))
    now.add("hpo_study", sa.Column("stop_at_once", sa.Boolean, nullable=False, server_default=sa.false()))
    now.add("hpo_trial", sa.Column("token", sa.String(36)))
    now.add("hpo_trial", sa.Column("lives_lost", sa.Integer, nullable=False, server_default="0"))
    now.add("hpo_trial", sa.Column("checkpoint", sa.Text))
    now.index("hpo_trial_state", "hpo_trial", "study_id", "state")
    now.add("hpo_ledger", sa.Column("token", sa.String(36)))
    now.make(
        "hpo_worker",
        _of_study(),
        sa.Column("worker", sa.String(255), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("life", sa.String(120), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("job", sa.String(64)),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("finished", sa.Integer, nullable=False),
        sa.Column("message", sa.Text),
    )
    now.make(
        "hpo_job",
        _of_study(),
        sa.Column("cluster", sa.String(64), primary_key=True),
        sa.Column("job", sa.String(64), primary_key=True),
        sa.Column("tasks", sa.Integer, nullable=False),
        sa.Column("submitted", sa.Double, nullable=False),
        sa.Column("log_dir", sa.Text, nullable=False),
    )
    _count_trials(connection)


def _count_trials(connection: Connection) -> None:
    study = sa.table("hpo_study", *map(sa.column, ("study_id", "finished", "failed", "places")))
    trial = sa.table("hpo_trial", *map(sa.column, ("study_id", "state", "outcome", "place")))

    def counted(value: sa.ColumnElement[int], *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(value).where(trial.c.study_id == study.c.study_id, *where).scalar_subquery()

    connection.execute(
        sa.update(study).values(
            finished=counted(sa.func.count(), trial.c.state == "finished"),
            failed=counted(sa.func.count(), trial.c.outcome == "failed"),
            places=counted(sa.func.coalesce(sa.func.max(trial.c.place) + 1, 0)),
        )
    )


def _to_3(operations: Operations, connection: Connection) -> None:
    """Add the tables of out-of-fold scores; trials that have ended have none."""
    now = _Tables(operations, connection)
    blob = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
    now.make(
        "hpo_scored_samples",
        _of_study(),
        sa.Column("digest", sa.String(16), primary_key=True),
        sa.Column("samples", blob, nullable=False),
        sa.Column("labels", blob, nullable=False),
    )
    now.make(
        "hpo_scores",
        _of_study(),
        sa.Column("trial_number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fold", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(16), nullable=False),
        sa.Column("logits", blob, nullable=False),
    )


STEPS: dict[int, Callable[[Operations, Connection], None]] = {1: _to_2, 2: _to_3}
"""The migration from each version to the next."""


def _of_study() -> sa.Column[int]:
    key = sa.ForeignKey("hpo_study.study_id", ondelete="CASCADE")
    return sa.Column("study_id", sa.Integer, key, primary_key=True, autoincrement=False)


class _Tables:
    """Idempotent changes of tables."""

    def __init__(self, operations: Operations, connection: Connection) -> None:
        self._operations, self._connection = operations, connection

    def add(self, table: str, column: sa.Column[Any]) -> None:
        if column.name not in {found["name"] for found in sa.inspect(self._connection).get_columns(table)}:
            self._operations.add_column(table, column)

    def make(self, table: str, *columns: sa.Column[Any]) -> None:
        if not sa.inspect(self._connection).has_table(table):
            self._operations.create_table(table, *columns)

    def index(self, name: str, table: str, *columns: str) -> None:
        if name not in {found["name"] for found in sa.inspect(self._connection).get_indexes(table)}:
            self._operations.create_index(name, table, list(columns))
