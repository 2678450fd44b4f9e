"""hpo's own tables, in the same database as Optuna's, and the database's clock.

Optuna's tables hold what `optuna` and its dashboard show; these hold what Optuna has no tables for: the spec, the
budget's slots with their leases and fencing tokens, reports with standard errors, and the test-set access log.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    MetaData,
    Row,
    Table,
    false,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from hpo.errors import StorageError
from hpo.text import brief

SCHEMA_VERSION = 3
"""Version of the tables below; `hpo.search.admin.migrations` upgrades each earlier one to it."""

LARGEST_INTEGER = 2**31 - 1
"""The largest number that a column of integers holds on every server."""

AnyRow = Row[*tuple[Any, ...]]
"""A row of a query with any columns."""

RowValues = dict[str, Any]
"""Values of some or all columns of a row, by name; they may be SQL expressions."""


def _checked(kinds: tuple[type, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value is None or type(value) in kinds:
            return value
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise StorageError(
            f"the database holds {brief(value, 40)} in the place of {wanted}: the file is damaged, or was written by "
            "another program; restore a backup with `hpo db restore`"
        )

    return check


# SQLite stores a value of any type in any column, so does a damaged file. Other databases put their own types in place.
class Integer(sa.Integer):
    """An integer that is one when it is read."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Check the type of a value on SQLite."""
        return _checked((int,)) if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


class Double(sa.Double[float]):
    """A number that is one when it is read."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """Check the type of a value on SQLite."""
        return _checked((float, int)) if dialect.name == "sqlite" else None


class String(sa.String):
    """A text that is one when it is read."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Check the type of a value on SQLite."""
        return _checked((str,)) if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


class Blob(sa.LargeBinary):
    """Up to 16 MB of bytes that are bytes when they are read."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Check the type of a value on SQLite."""
        if dialect.name == "sqlite":
            return _checked((bytes,))
        own: Callable[[Any], Any] | None = super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]
        return own


def _blob() -> sa.types.TypeEngine[bytes]:
    # MySQL's plain BLOB ends at 65,535 bytes.
    return Blob().with_variant(mysql.MEDIUMBLOB(), "mysql")


class Text(sa.Text):
    """A long text that is one when it is read."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Check the type of a value on SQLite."""
        return _checked((str,)) if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


metadata = MetaData()

optuna_studies = Table(
    "studies",
    metadata,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", String(512), nullable=False),
)
"""The columns that hpo reads of a table that Optuna creates."""

optuna_trials = Table(
    "trials",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
)
"""Likewise."""

optuna_study_attributes = Table(
    "study_system_attributes",
    metadata,
    Column("study_id", Integer, nullable=False),
    Column("key", String(512), nullable=False),
    Column("value_json", Text, nullable=False),
)
"""Likewise."""

FORMER_NAMES = "hpo:former_names"
"""Key of a study's system attribute with the names that it had before it was renamed, a JSON list, oldest first."""

version = Table("hpo_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

studies = Table(
    "hpo_study",
    metadata,
    Column("study_id", ForeignKey("studies.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("name", String(512), nullable=False),
    Column("spec", Text, nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("trials", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("code_version", String(200), nullable=False),
    Column("finished", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("places", Integer, nullable=False, server_default="0"),
    Column("stop_before", Double),
    Column("stop_at_once", Boolean, nullable=False, server_default=false()),
)
"""Studies.

- trials: the budget.
- finished, failed, places: counters over `hpo_trial`, so that a claim need not read all trials (places: slots in use).
- stop_before: workers that started before this time must stop, after their trial or (stop_at_once) by releasing it."""

trials = Table(
    "hpo_trial",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("trial_number", Integer, nullable=False),
    Column("trial_id", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("worker", String(255)),
    Column("fence", Integer, nullable=False),
    Column("token", String(36)),
    Column("lives_lost", Integer, nullable=False, server_default="0"),
    Column("checkpoint", Text),
    Column("lease_until", Double),
    Column("progress", Double, nullable=False),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("outcome", String(16)),
    Column("reason", Text),
    Column("reference", String(64)),
    Column("epoch", Integer),
    Column("auc", Double),
    Column("standard_error", Double),
    Column("record", Text),
    Index("hpo_trial_number", "study_id", "trial_number", unique=True),
    Index("hpo_trial_state", "study_id", "state"),
)
"""Trials.

- place: number of its slot of the budget, from 0.
- fence: fencing token, which grows with each claim.
- token: id of the claim that set `fence`, to recognise it if the reply to its COMMIT was lost.
- lives_lost: number of workers that died on the trial since its last report.
- checkpoint: HOST:PATH of the newest checkpoint."""

reports = Table(
    "hpo_report",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("trial_number", Integer, primary_key=True, autoincrement=False),
    Column("auc", Double, nullable=False),
    Column("standard_error", Double),
    Column("fold_aucs", Text, nullable=False),
    Column("training_auc", Double),
    Column("training_loss", Double),
    Column("seconds", Double, nullable=False),
)
"""Reports, one per epoch of each trial. The primary key starts with (study, epoch), as in the pruner's query."""

scored_samples = Table(
    "hpo_scored_samples",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("digest", String(16), primary_key=True),
    Column("samples", _blob(), nullable=False),
    Column("labels", _blob(), nullable=False),
)
"""The samples that trials are scored on, once for all trials that share a fold: see `hpo.data.fold_scores`."""

scores = Table(
    "hpo_scores",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("trial_number", Integer, primary_key=True, autoincrement=False),
    Column("fold", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("digest", String(16), nullable=False),
    Column("logits", _blob(), nullable=False),
)
"""Out-of-fold scores of each trial at its last rung, or at its end.

- fold: from 0; a trial that was not trained on every fold has fewer rows.
- epoch: of the report that they belong to, from 1.
- digest: of their samples, a row of `hpo_scored_samples`.
- logits: half precision, sample by sample."""

workers = Table(
    "hpo_worker",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("worker", String(255), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("process", Integer, nullable=False),
    Column("life", String(120), nullable=False),
    Column("device", String(64), nullable=False),
    Column("job", String(64)),
    Column("started", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("ended", Double),
    Column("finished", Integer, nullable=False),
    Column("message", Text),
)
"""Workers and their last heartbeat.

- life: identity of the process, which distinguishes processes of the same PID, see `hpo.search.queue.process_identity`.
- job: Slurm job, JOB or JOB_TASK.
- seen: time of the last heartbeat.
- message: why it ended, or what it is doing."""

jobs = Table(
    "hpo_job",
    metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("cluster", String(64), primary_key=True),
    Column("job", String(64), primary_key=True),
    Column("tasks", Integer, nullable=False),
    Column("submitted", Double, nullable=False),
    Column("log_dir", Text, nullable=False),
)
"""Job arrays of workers that `hpo launch --on slurm` submitted."""

ledger = Table(
    "hpo_ledger",
    metadata,
    Column("entry", Integer, primary_key=True),
    Column("study", String(512), nullable=False),
    Column("configuration", Text, nullable=False),
    Column("code_version", String(200), nullable=False),
    Column("time", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("token", String(36)),
)
"""Test-set access log. It refers to a study by name only, so that it survives the deletion of the study."""

own_tables = [version, studies, trials, reports, scored_samples, scores, workers, jobs, ledger]

tables_of_study = (scores, scored_samples, reports, trials, workers, jobs, studies)
"""Tables with rows of a study, each before those that it refers to."""


class database_now(GenericFunction[float]):  # noqa: N801 - a SQL function
    """Seconds since 1970 on the database's clock, read when the statement runs, not when its transaction began."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql_now(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(database_now, "mysql")
def _mysql_now(_element: Any, _compiler: Any, **_options: Any) -> str:
    # UNIX_TIMESTAMP(NOW(6)) jumps by an hour if the server's time zone has daylight saving time.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) / 1e6)"


def upsert(connection: Connection, table: Table, key: tuple[str, ...], values: RowValues) -> None:
    """Insert a row, or update the row of the same key; values may be SQL expressions."""
    changed = {name: value for name, value in values.items() if name not in key}
    if connection.dialect.name == "mysql":
        connection.execute(mysql.insert(table).values(values).on_duplicate_key_update(changed))
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(values).on_conflict_do_update(index_elements=list(key), set_=changed))


def upsert_rows(connection: Connection, table: Any, key: tuple[str, ...], rows: list[RowValues]) -> None:
    """Insert rows of the same columns in one statement, or update those of the same keys."""
    if not rows:
        return
    change = _upsert(connection.dialect.name, table, key, tuple(rows[0]))
    if len(rows) == 1:
        # Not as its values, of which SQLAlchemy would make part of the statement each time.
        connection.execute(change, rows[0])
    else:
        connection.execute(change.values(rows))


@cache
def _upsert(dialect: str, table: Any, key: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    """Return an INSERT without values that replaces all columns but the key of a row that is there."""
    changed = [name for name in columns if name not in key]
    if dialect == "mysql":
        into_mysql = mysql.insert(table)
        return into_mysql.on_duplicate_key_update({name: into_mysql.inserted[name] for name in changed})
    into = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    return into.on_conflict_do_update(index_elements=list(key), set_={name: into.excluded[name] for name in changed})
