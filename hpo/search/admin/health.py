"""Inspect a database for `hpo doctor` and `hpo db check`, over one plain connection and without changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from hpo.errors import HpoError
from hpo.search.database import schema
from hpo.search.database.address import resolve_address, shown
from hpo.search.database.engine import make_engine, new_engine
from hpo.search.database.errors import as_hpo_error, check_sqlite_folder
from hpo.search.database.filesystem import check_local
from hpo.search.database.optuna_mirror import optuna_revision
from hpo.search.database.sqlite import open_file
from hpo.search.study import dataset_of, hpo_studies, is_text
from hpo.study.own import OwnFile
from hpo.study.spec import StudySpec

_SQLITE_TIMEOUT = 5
_SILENT = 120.0
"""Seconds without a heartbeat after which a worker is not counted."""


@dataclass(frozen=True)
class StudyFacts:
    """A study as `hpo doctor` needs it.

    Attributes:
        trials: the budget.
        workers: number of workers with a heartbeat in the last two minutes.
        others: datasets that its trials may train on besides.
        own: the file of its dataset if that is a user's own.
    """

    dataset: str
    trials: int
    finished: int
    workers: int
    others: tuple[str, ...] = ()
    own: OwnFile | None = None


@dataclass(frozen=True)
class DatabaseLocation:
    """Location of a database: the host of its server, or the SQLite file."""

    url: URL

    @property
    def address(self) -> str:
        """Address that is safe to print."""
        return shown(self.url)

    @property
    def host(self) -> str | None:
        """Host of the server; None for a SQLite file."""
        return self.url.host

    @property
    def file(self) -> Path | None:
        """Path of the SQLite file, which need not exist; None for a server."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None


def locate(storage: str | None) -> DatabaseLocation:
    """Return the location of the database of `--storage`.

    Raises:
        StorageError: as `resolve_address`, and for a SQLite file on a network file system.
    """
    location = DatabaseLocation(resolve_address(storage))
    if location.file is not None:
        check_local(location.file)
    return location


@dataclass(frozen=True)
class DatabaseFacts:
    """State of a database, and the versions that this installation requires.

    Attributes:
        server: name and version, such as `PostgreSQL 17.2`.
        server_host: None for a SQLite file.
        seconds: time to connect.
        version: of hpo's tables, None if there are none; `optuna` likewise.
        clock_ahead: the database's clock minus this host's, in seconds, plus or minus `clock_uncertainty`.
        connections_allowed: None for SQLite; `connections_used` likewise.
        write_refused: why writes are refused; None if they are allowed, or there are no tables.
        studies: number of studies; 0 unless the tables have the required version.
        study: the requested study; None if it does not exist.
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
    """Collect the facts about a database, and about one of its studies.

    Raises:
        StorageError: if it is a file that is missing or on a network file system, or a server that does not answer.
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
        # Last, because it ends the transaction.
        write_refused=_write_refused(connection) if version is not None else None,
    )


def _server(connection: Connection) -> str:
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
    dialect = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    numbers = dialect.server_version_info or ()
    return f"{names.get(name, name)} {'.'.join(str(number) for number in numbers if isinstance(number, int))}"


def _versions(connection: Connection) -> tuple[int | None, str | None]:
    """Return the versions of hpo's and of Optuna's tables."""
    own = optuna = None
    present = sa.inspect(connection)
    if present.has_table(schema.version.name):
        own = connection.scalar(sa.select(sa.func.max(schema.version.c.version)))
    if present.has_table("alembic_version"):
        optuna = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return own, optuna


def _write_refused(connection: Connection) -> str | None:
    """Try an update of no rows and roll back; return the reason if it is refused."""
    none = sa.update(schema.version).values(version=schema.version.c.version).where(sa.literal(1) == 0)
    try:
        connection.execute(none)
    except DatabaseError as error:
        return " ".join(str(error.orig).split())
    finally:
        connection.rollback()
    return None


def _connections(connection: Connection) -> tuple[int | None, int | None]:
    """Return the number of connections that the server allows, and of those in use; None for SQLite."""

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
    """Return how far the database's clock is ahead of this host's, and half the query's duration as uncertainty (s)."""
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
    rows = connection.execute(query.add_columns(columns.name)) if is_text(name) else ()
    row = next((row for row in rows if row.name == name), None)
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
        dataset_of(row.spec),
        row.trials,
        connection.scalar(finished) or 0,
        connection.scalar(alive) or 0,
        _others_of(row.spec),
        _own_of(row.spec),
    )


def _others_of(spec: str) -> tuple[str, ...]:
    """Return the other datasets of a stored spec; none if this version of hpo, or this machine, cannot read it."""
    try:
        return tuple(dataset.name for dataset in StudySpec.from_json(spec).other_datasets())
    except (ValueError, HpoError):
        return ()


def _own_of(spec: str) -> OwnFile | None:
    """Return the user's own data file of a stored spec; None if it has none, or cannot be read."""
    try:
        return StudySpec.from_json(spec).own
    except ValueError:
        return None


def _plain_engine(url: URL) -> sa.Engine:
    """Return an engine that holds no connection, and soon gives up on a SQLite file that is being written."""
    if url.get_backend_name() != "sqlite":
        return make_engine(url)
    engine = new_engine(url.update_query_dict({"timeout": str(_SQLITE_TIMEOUT)}), poolclass=NullPool)
    sa.event.listen(engine, "do_connect", open_file)
    return engine
