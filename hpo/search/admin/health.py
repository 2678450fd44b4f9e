"""What a database says about itself, for `hpo doctor` and `hpo db check`: one plain connection, nothing changed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from hpo.search.database import schema
from hpo.search.database.address import resolve_address, shown
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import as_hpo_error, check_sqlite_folder
from hpo.search.database.filesystem import check_local
from hpo.search.database.optuna_mirror import optuna_revision
from hpo.search.study import hpo_studies

_SQLITE_TIMEOUT = 5
_SILENT = 120.0
"""Seconds without a sign of life after which a worker is not counted."""


@dataclass(frozen=True)
class StudyFacts:
    """A study as the doctor needs it. workers: those with a sign of life in the last two minutes."""

    dataset: str
    trials: int
    finished: int
    workers: int


@dataclass(frozen=True)
class Place:
    """Where a database is: the host of its server, or the SQLite file that it is."""

    url: URL

    @property
    def address(self) -> str:
        """The address as it may be printed."""
        return shown(self.url)

    @property
    def host(self) -> str | None:
        """The host of the server; None for a SQLite file."""
        return self.url.host

    @property
    def file(self) -> Path | None:
        """The SQLite file, which need not be there; None for a server."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None


def locate(storage: str | None) -> Place:
    """The database of `--storage`; raises StorageError as `resolve_address`, and for a SQLite file on a network."""
    place = Place(resolve_address(storage))
    if place.file is not None:
        check_local(place.file)
    return place


@dataclass(frozen=True)
class DatabaseFacts:
    """A database as it was found, with what this installation works with.

    Attributes:
        server: name and version, such as `PostgreSQL 17.2`.
        server_host: None for a SQLite file.
        seconds: to connect to it.
        version: of hpo's schema, None if there are none; `optuna` likewise.
        clock_ahead: its clock minus this host's, in seconds, give or take `clock_uncertainty`.
        connections_allowed: None on SQLite, as `connections_used`.
        write_refused: why it may not be written to; None if it may, or has no schema.
        studies: how many; 0 unless the tables are of this version.
        study: the one that was asked for; None if it is not there.
    """

    address: str
    server: str
    server_host: str | None
    seconds: float
    version: int | None
    version_wanted: int
    optuna: str | None
    optuna_wanted: str
    clock_ahead: float
    clock_uncertainty: float
    connections_allowed: int | None
    connections_used: int | None
    write_refused: str | None
    studies: int
    study: StudyFacts | None


def examine(url: URL, study: str | None = None) -> DatabaseFacts:
    """Ask a database for everything that can be wrong with it, and for a study in it.

    Raises:
        StorageError: if it is a file that is missing or shared, or a server that does not answer.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create=False)
    engine = _plain_engine(url)
    try:
        with as_hpo_error(url):
            started = time.monotonic()
            with engine.connect() as connection:
                return _examine(url, study, connection, time.monotonic() - started)
    finally:
        engine.dispose()


def _examine(url: URL, study: str | None, connection: Connection, seconds: float) -> DatabaseFacts:
    version, optuna = _versions(connection)
    allowed, used = _connections(connection)
    ahead, uncertainty = _clock(connection)
    is_ours = version == schema.SCHEMA_VERSION
    return DatabaseFacts(
        address=shown(url),
        server=_server(connection),
        server_host=url.host,
        seconds=seconds,
        version=version,
        version_wanted=schema.SCHEMA_VERSION,
        optuna=optuna,
        optuna_wanted=optuna_revision(),
        clock_ahead=ahead,
        clock_uncertainty=uncertainty,
        connections_allowed=allowed,
        connections_used=used,
        studies=connection.scalar(hpo_studies(sa.func.count())) or 0 if is_ours else 0,
        study=_study(connection, study) if is_ours and study is not None else None,
        # Last, since it ends the transaction.
        write_refused=_write_refused(connection) if version is not None else None,
    )


def _server(connection: Connection) -> str:
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
    dialect = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    numbers = dialect.server_version_info or ()
    return f"{names.get(name, name)} {'.'.join(str(number) for number in numbers if isinstance(number, int))}"


def _versions(connection: Connection) -> tuple[int | None, str | None]:
    """Versions of hpo's and of Optuna's schema."""
    own = optuna = None
    present = sa.inspect(connection)
    if present.has_table(schema.version.name):
        own = connection.scalar(sa.select(sa.func.max(schema.version.c.version)))
    if present.has_table("alembic_version"):
        optuna = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return own, optuna


def _write_refused(connection: Connection) -> str | None:
    """Change no row and roll back; return why that was refused, if it was."""
    none = sa.update(schema.version).values(version=schema.version.c.version).where(sa.literal(1) == 0)
    try:
        connection.execute(none)
    except DatabaseError as error:
        return " ".join(str(error.orig).split())
    finally:
        connection.rollback()
    return None


def _connections(connection: Connection) -> tuple[int | None, int | None]:
    """Connections that the server allows to hpo, and those in use."""

    def scalar(statement: str) -> int:
        return int(connection.exec_driver_sql(statement).scalar_one())

    if connection.dialect.name == "sqlite":
        return None, None
    if connection.dialect.name == "postgresql":
        allowed = scalar("SHOW max_connections") - scalar("SHOW superuser_reserved_connections")
        return allowed, scalar("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    used = int(connection.exec_driver_sql("SHOW STATUS LIKE 'Threads_connected'").one()[1])
    return scalar("SELECT @@max_connections"), used


def _clock(connection: Connection) -> tuple[float, float]:
    """Seconds that the database's clock is ahead of this host's, and how far the answer's own time leaves that open."""
    answers = []
    for _ in range(3):
        before = time.time()
        then = connection.scalar(sa.select(schema.database_now())) or 0.0
        after = time.time()
        answers.append((after - before, float(then) - (before + after) / 2))
    seconds, ahead = min(answers)
    return ahead, seconds / 2


def _study(connection: Connection, name: str) -> StudyFacts | None:
    columns = schema.studies.c
    query = hpo_studies(columns.study_id, columns.spec, columns.trials).where(columns.name == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    trials, workers = schema.trials.c, schema.workers.c
    finished = sa.select(sa.func.count()).where(trials.study_id == row.study_id, trials.state == "finished")
    alive = sa.select(sa.func.count()).where(
        workers.study_id == row.study_id,
        workers.ended.is_(None),
        workers.seen >= schema.database_now() - _SILENT,
    )
    return StudyFacts(
        json.loads(row.spec)["dataset"],
        row.trials,
        connection.scalar(finished) or 0,
        connection.scalar(alive) or 0,
    )


def _plain_engine(url: URL) -> sa.Engine:
    """An engine that sets nothing on a SQLite file: the workers' own turns on its write-ahead log."""
    if url.get_backend_name() != "sqlite":
        return make_engine(url)
    return sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": _SQLITE_TIMEOUT})
