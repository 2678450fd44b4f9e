"""`Database`: one engine for Optuna's storage and hpo's own tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.address import shown
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import ErrorKind, as_hpo_error, check_sqlite_folder, kind_of
from hpo.search.database.locks import exclusive
from hpo.search.database.retry import OUTAGE_SECONDS, RetryPolicy, retry
from hpo.text import brief

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")

_VERSION = sa.select(sa.func.max(schema.version.c.version))


class Database:
    """An open database whose tables exist; created by `open_database`.

    Every method raises StorageError if the database is unreachable for `outage` seconds, and OutputError if its disk is
    full. Beginning and end of an outage are logged.

    Attributes:
        answered_again: when the last outage ended, or the database's clock was seen to have been set forward, on this
            process's monotonic clock. Leases that expired then may belong to live workers, which could not renew them.
    """

    def __init__(self, url: URL, engine: Engine, outage: float = OUTAGE_SECONDS) -> None:
        self.url = url
        self.engine = engine
        self.outage = outage
        self.answered_again = -math.inf
        self._clock_ahead: float | None = None
        self._optuna_checked = False

    def __reduce__(self) -> tuple[Callable[[str, float], Database], tuple[str, float]]:
        """Pickle its address, with the password: another process connects anew, once it reads or writes."""
        return _at_address, (self.url.render_as_string(hide_password=False), self.outage)

    @property
    def address(self) -> str:
        """Address that is safe to print."""
        return shown(self.url)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction and commit it; retry after deadlocks and during an outage.

        `work` must be idempotent: it is retried if the reply to a successful COMMIT was lost. On SQLite the transaction
        holds the file's write lock from its start.
        """

        def once() -> T:
            with self.engine.begin() as connection:
                return work(connection)

        return self._retry(once, self.outage)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, in one transaction that never waits for writers; retry it during an outage.

        `work` is run again from its start, so it must not keep what an earlier run has read.
        """

        def once() -> T:
            with self.engine.connect() as connection:
                return work(connection.execution_options(hpo_reading=True))

        return self._retry(once, self.outage)

    def within(self, seconds: float) -> Database:
        """Return this database, on the same connections, with retries for `seconds` only; 0 for none."""
        return Database(self.url, self.engine, min(self.outage, seconds))

    def clock_step(self, now: float) -> float:
        """Return by how many seconds the database's clock, which says `now`, was set forward since the last call.

        Measured against this process's monotonic clock, which stands still while a machine sleeps.
        """
        before, self._clock_ahead = self._clock_ahead, now - time.monotonic()
        return 0.0 if before is None else self._clock_ahead - before

    @cached_property
    def optuna(self) -> BaseStorage:
        """Optuna's storage on this engine, for Optuna's tools; calls are not retried, see `patient_optuna`."""
        from hpo.search.database.optuna_storage import storage_on

        return self._retry(lambda: storage_on(self.url, self.engine), self.outage)

    def check_optuna(self) -> None:
        """Check, once per process, that Optuna's tables have the version of the installed Optuna.

        Raises:
            StorageError: if they have not.
        """
        from hpo.search.database.optuna_storage import plain_storage

        if not self._optuna_checked:
            self._retry(lambda: plain_storage(self.url).engine.dispose(), self.outage)
            self._optuna_checked = True

    def patient_optuna(self) -> BaseStorage:
        """Return Optuna's storage with calls that are retried as in `write`."""
        from hpo.search.database.optuna_storage import with_retries

        return with_retries(self.optuna, lambda work: self._retry(work, self.outage))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def check_version(self, connection: Connection) -> None:
        """Check that the tables still have the version of this hpo; somebody may have upgraded them.

        Raises:
            StorageError: if they have another.
        """
        found = _version_in(connection)
        if found is not None:
            check_version(self.url, found)

    def _retry(self, work: Callable[[], T], seconds: float) -> T:
        policy = RetryPolicy(seconds, self.address, ended=self._note_end)
        with as_hpo_error(self.url):
            try:
                return retry(work, policy)
            except sa.exc.DBAPIError as error:
                if kind_of(error) in (ErrorKind.OTHER, ErrorKind.BUG):
                    self._blame_version()
                raise

    def _blame_version(self) -> None:
        """Raise StorageError if a statement failed because the tables have another version now."""
        with suppress(sa.exc.SQLAlchemyError):
            found = stored_version(self.engine)
            if found is not None:
                check_version(self.url, found)

    def _note_end(self) -> None:
        self.answered_again = time.monotonic()


def open_database(
    url: URL,
    *,
    create: bool,
    outage: float = OUTAGE_SECONDS,
    known_good: bool = False,
    beside_others: bool = False,
) -> Database:
    """Open the database at an address of `resolve_address`.

    A server that is starting up, or has no free connection, is retried. A refused connection is taken for a wrong
    address and fails at once, unless the address is `known_good`.

    Args:
        create: whether to create the tables if they are missing.
        outage: seconds for which transactions are retried.
        known_good: whether to wait for a server that refuses connections, as a worker does.
        beside_others: whether tables may be created in a database with tables of a program other than Optuna.

    Raises:
        StorageError: if it is missing (and not `create`), refused, not a database, of another schema version, or has
            tables of another program in the place of hpo's.
        OutputError: if its folder is not writable.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create)
    database = Database(url, make_engine(url), outage)
    with as_hpo_error(url):
        policy = RetryPolicy(outage, database.address, first_contact=not known_good)
        version = retry(lambda: _ready(database, create, beside_others), policy)
    if version is None:
        raise StorageError(f"{shown(url)} has no hpo studies yet; create the first with `hpo launch`")
    check_version(url, version)
    return database


def _at_address(address: str, outage: float) -> Database:
    """Return the database that was pickled; nothing is read yet."""
    url = sa.make_url(address)
    return Database(url, make_engine(url), outage)


def check_version(url: URL, found: int) -> None:
    """Check that tables of version `found` are those of this hpo.

    Raises:
        StorageError: if they are older or newer.
    """
    if found == schema.SCHEMA_VERSION:
        return
    older, fix = ("older", "run `hpo db upgrade`") if found < schema.SCHEMA_VERSION else ("newer", "update hpo")
    raise StorageError(
        f"{shown(url)} has tables of version {found}, {older} than this hpo's {schema.SCHEMA_VERSION}; {fix}"
    )


def stored_version(engine: Engine) -> int | None:
    """Return the version of hpo's tables in a database; None if it has none."""
    with engine.connect().execution_options(hpo_reading=True) as connection:
        if not sa.inspect(connection).has_table(schema.version.name):
            return None
        return _version_in(connection)


def _version_in(connection: Connection) -> int | None:
    found = connection.scalar(_VERSION)
    # SQLite stores anything in any column.
    if found is not None and (type(found) is not int or found < 1):
        raise StorageError(
            f"{shown(connection.engine.url)}: its table {schema.version.name} holds {brief(found)}, which is not a "
            "version of hpo's tables; restore a backup with `hpo db restore`"
        )
    return found


def _ready(database: Database, create: bool, beside_others: bool) -> int | None:
    found = stored_version(database.engine)
    if found is not None or not create:
        return found
    with exclusive(database.engine, "schema"):
        found = stored_version(database.engine)
        if found is None:
            if not beside_others:
                _check_alone(database)
            _create_tables(database)
            found = schema.SCHEMA_VERSION
    return found


def _check_alone(database: Database) -> None:
    from hpo.search.database.optuna_mirror import optuna_tables

    with database.engine.connect().execution_options(hpo_reading=True) as connection:
        there = set(sa.inspect(connection).get_table_names())
    others = sorted(there - {"alembic_version", *optuna_tables(), *(table.name for table in schema.own_tables)})
    if others:
        raise StorageError(
            f"{database.address} has tables of another program ({brief(', '.join(others))}); give another database, or "
            "create hpo's tables beside them with `hpo db init --beside-others`"
        )


def _create_tables(database: Database) -> None:
    from hpo.search.database.optuna_storage import plain_storage, tables_as_sql

    statements: list[str] = []
    if database.engine.dialect.name == "sqlite" and not sa.inspect(database.engine).get_table_names():
        # All or nothing, and one wait for the disk: Optuna would commit each of its tables and indices by itself.
        statements = tables_as_sql()
    else:
        plain_storage(database.url, create=True).engine.dispose()
    with database.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        schema.metadata.create_all(connection, tables=schema.own_tables)
        connection.execute(sa.insert(schema.version).values(version=schema.SCHEMA_VERSION))
