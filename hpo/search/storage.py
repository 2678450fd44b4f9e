"""`Database`: one engine for Optuna's storage and hpo's own tables."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from hpo.errors import StorageError
from hpo.search import tables
from hpo.search.address import shown
from hpo.search.faults import as_hpo_error, check_sqlite_folder, passes
from hpo.search.locks import exclusive

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage

CONNECT_TIMEOUT = 10
"""Seconds to wait for a database server to answer."""

BUSY_TIMEOUT = 60
"""Seconds to wait for another writer of a SQLite file."""

_PAUSES = (0.02, 0.1, 0.5, 1.0)
"""Seconds between runs of a transaction that met a deadlock."""

T = TypeVar("T")


class Database:
    """An open database whose tables exist; made by `open_database`.

    Every method raises StorageError if the database cannot be reached, OutputError if its disk is full.
    """

    def __init__(self, url: URL, engine: Engine) -> None:
        self.url = url
        self.engine = engine

    @property
    def address(self) -> str:
        """The address as it may be printed."""
        return shown(self.url)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction and commits it; runs it again if the database found a deadlock.

        On SQLite the transaction holds the file's one write lock from its start.
        """
        with as_hpo_error(self.url):
            for pause in _PAUSES:
                try:
                    with self.engine.begin() as connection:
                        return work(connection)
                except Exception as error:
                    if not passes(error):
                        raise
                    time.sleep(pause * random.uniform(0.5, 1.5))
            with self.engine.begin() as connection:
                return work(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for no writer."""
        with as_hpo_error(self.url), self.engine.connect() as connection:
            yield connection.execution_options(hpo_reading=True)

    @cached_property
    def optuna(self) -> BaseStorage:
        """Optuna's storage on this engine, with Optuna's cache of finished trials."""
        from optuna.storages import get_storage

        return get_storage(self._rdb)

    @cached_property
    def _rdb(self) -> RDBStorage:
        with as_hpo_error(self.url):
            storage = _optuna_storage(self.url, create=False)
        storage.engine = self.engine
        storage.scoped_session = scoped_session(sessionmaker(bind=self.engine))
        return storage

    def optuna_within(self, connection: Connection) -> RDBStorage:
        """Optuna's storage inside a transaction of ours: what it commits is committed with the transaction."""
        # copy.copy would connect again and read Optuna's migrations: 60 ms.
        storage = object.__new__(type(self._rdb))
        storage.__dict__.update(self._rdb.__dict__)
        storage.scoped_session = scoped_session(sessionmaker(bind=connection, join_transaction_mode="create_savepoint"))
        return storage

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def open_database(url: URL, *, create: bool) -> Database:
    """Opens the database at an address of `resolve_address`; makes its tables if `create`.

    Raises StorageError if it is missing (and not `create`), refused, no database, or of another schema version;
    OutputError if its folder cannot be written to.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create)
    engine = make_engine(url)
    with as_hpo_error(url):
        found = _stored_version(engine)
        if found is None and create:
            with exclusive(engine, "schema"):
                found = _stored_version(engine)
                if found is None:
                    _create_tables(url, engine)
                    found = tables.SCHEMA_VERSION
    if found is None:
        raise StorageError(f"{shown(url)} holds no hpo study yet; `hpo launch` makes the first")
    if found != tables.SCHEMA_VERSION:
        older, cure = (
            ("older", "use the hpo that made it") if found < tables.SCHEMA_VERSION else ("newer", "update hpo")
        )
        raise StorageError(
            f"{shown(url)} has tables of version {found}, {older} than this hpo's {tables.SCHEMA_VERSION}; {cure}"
        )
    return Database(url, engine)


def make_engine(url: URL) -> Engine:
    """An engine with the settings that several workers on one database need."""
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 3, "pool_timeout": 30}
    backend = url.get_backend_name()
    if backend == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, **options)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    return sa.create_engine(url, connect_args=_server_arguments(backend), pool_pre_ping=True, **options)


def _server_arguments(backend: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT}
    if backend == "postgresql":
        arguments |= {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    return arguments


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is deferred: two workers would both read before either writes. See _begin_sqlite.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("hpo_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _stored_version(engine: Engine) -> int | None:
    with engine.connect().execution_options(hpo_reading=True) as connection:
        if not sa.inspect(connection).has_table(tables.version.name):
            return None
        found: int | None = connection.scalar(sa.select(sa.func.max(tables.version.c.version)))
        return found


def _create_tables(url: URL, engine: Engine) -> None:
    _optuna_storage(url, create=True)
    with engine.begin() as connection:
        tables.metadata.create_all(connection, tables=tables.own_tables)
        connection.execute(sa.insert(tables.version).values(version=tables.SCHEMA_VERSION))


def _optuna_storage(url: URL, *, create: bool) -> RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments = {"timeout": BUSY_TIMEOUT}
    if url.get_backend_name() != "sqlite":
        arguments = _server_arguments(url.get_backend_name())
    try:
        return optuna.storages.RDBStorage(
            # RDBStorage formats its address with str.format, so a brace in a password has to be doubled.
            url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"poolclass": NullPool, "connect_args": arguments},
            skip_table_creation=not create,
        )
    except RuntimeError as error:
        raise StorageError(f"{shown(url)}: {error}") from None
