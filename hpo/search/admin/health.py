"""What a database says about itself, for `hpo doctor`: read through one plain connection, nothing changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from hpo.search.database import schema
from hpo.search.database.address import resolve_address, shown
from hpo.search.database.engine import CONNECTIONS, make_engine
from hpo.search.database.errors import as_hpo_error, check_sqlite_folder
from hpo.search.database.filesystem import check_local

_SQLITE_TIMEOUT = 5
_SILENT = 120.0
"""Seconds without a sign of life after which a worker is not counted."""


@dataclass(frozen=True)
class Versions:
    """Versions of the tables in a database (None: not there) and those that this installation works with."""

    own: int | None
    own_wanted: int
    optuna: str | None
    optuna_wanted: str


@dataclass(frozen=True)
class Connections:
    """Connections that a server allows, those in use now, and the most that one worker holds at once."""

    allowed: int
    used: int
    per_worker: int

    @property
    def room(self) -> int:
        """How many more workers there is room for."""
        return max(0, self.allowed - self.used) // max(1, self.per_worker)


@dataclass(frozen=True)
class Clock:
    """The database's clock minus this host's, and how far the time of the answer leaves that open, in seconds."""

    ahead: float
    uncertainty: float


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


class Examined:
    """One connection to a database, asked about itself; made by `examining`."""

    def __init__(self, place: Place, connection: Connection, seconds: float) -> None:
        self.place = place
        self._connection = connection
        self.seconds = seconds
        """How long connecting took."""

    def server(self) -> str:
        """Name and version: `PostgreSQL 17.2`."""
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}
        dialect = self._connection.dialect
        name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
        numbers = dialect.server_version_info or ()
        return f"{names.get(name, name)} {'.'.join(str(number) for number in numbers if isinstance(number, int))}"

    def versions(self) -> Versions:
        """Versions of hpo's and of Optuna's tables."""
        own = optuna = None
        present = sa.inspect(self._connection)
        if present.has_table(schema.version.name):
            own = self._connection.scalar(sa.select(sa.func.max(schema.version.c.version)))
        if present.has_table("alembic_version"):
            optuna = self._connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return Versions(own, schema.SCHEMA_VERSION, optuna, _optuna_head())

    def write_refused(self) -> str | None:
        """Why a write is refused; None if it is not. A change of no row, which is then rolled back."""
        none = sa.update(schema.version).values(version=schema.version.c.version).where(sa.literal(1) == 0)
        try:
            self._connection.execute(none)
        except DatabaseError as error:
            return " ".join(str(error.orig).split())
        finally:
            self._connection.rollback()
        return None

    def connections(self) -> Connections | None:
        """The server's limit and use; None for SQLite, which has none."""
        dialect = self._connection.dialect.name
        if dialect == "sqlite":
            return None
        if dialect == "postgresql":
            allowed = self._scalar("SHOW max_connections") - self._scalar("SHOW superuser_reserved_connections")
            used = self._scalar("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        else:
            allowed = self._scalar("SELECT @@max_connections")
            used = int(self._connection.exec_driver_sql("SHOW STATUS LIKE 'Threads_connected'").one()[1])
        return Connections(allowed, used, CONNECTIONS)

    def clock(self) -> Clock:
        """The database's clock beside this host's; of three answers the fastest."""
        answers = []
        for _ in range(3):
            before = time.time()
            then = self._connection.scalar(sa.select(schema.database_now())) or 0.0
            after = time.time()
            answers.append((after - before, float(then) - (before + after) / 2))
        seconds, ahead = min(answers)
        return Clock(ahead, seconds / 2)

    def study(self, name: str) -> StudyFacts | None:
        """Facts of the study; None if there is none of that name."""
        columns = schema.studies.c
        row = self._connection.execute(
            sa.select(columns.study_id, columns.spec, columns.trials).where(columns.name == name)
        ).one_or_none()
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
            self._connection.scalar(finished) or 0,
            self._connection.scalar(alive) or 0,
        )

    def _scalar(self, statement: str) -> int:
        return int(self._connection.exec_driver_sql(statement).scalar_one())


@contextmanager
def examining(url: URL) -> Iterator[Examined]:
    """A connection to ask; raises StorageError in one sentence if the database is not there or does not answer."""
    place = Place(url)
    if place.file is not None:
        check_sqlite_folder(url, create=False)
    engine = _plain_engine(url)
    try:
        with as_hpo_error(url):
            started = time.monotonic()
            with engine.connect() as connection:
                yield Examined(place, connection, time.monotonic() - started)
    finally:
        engine.dispose()


def _plain_engine(url: URL) -> sa.Engine:
    """An engine that sets nothing on a SQLite file: the workers' own turns on its write-ahead log."""
    if url.get_backend_name() != "sqlite":
        return make_engine(url)
    return sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": _SQLITE_TIMEOUT})


def _optuna_head() -> str:
    import optuna
    from alembic.script import ScriptDirectory

    folder = Path(optuna.__file__).parent / "storages" / "_rdb" / "alembic"
    return ScriptDirectory(str(folder)).get_current_head() or ""
