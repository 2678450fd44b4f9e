"""`Database`: one engine for Optuna's storage and hpo's own tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.address import shown
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import as_hpo_error, check_sqlite_folder
from hpo.search.database.locks import exclusive
from hpo.search.database.retry import OUTAGE_SECONDS, READING_SECONDS, RetryPolicy, retry

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

T = TypeVar("T")


class Database:
    """An open database whose tables exist; created by `open_database`.

    Every method raises StorageError if the database is unreachable for `outage` seconds, and OutputError if its disk is
    full. Beginning and end of an outage are logged.

    Attributes:
        answered_again: when the last outage ended, on this process's monotonic clock. Leases that expired during an
            outage may belong to live workers, which could not renew them.
    """

    def __init__(self, url: URL, engine: Engine, outage: float = OUTAGE_SECONDS) -> None:
        self.url = url
        self.engine = engine
        self.outage = outage
        self.answered_again = -math.inf
        self._optuna_checked = False

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
        """Run `work`, which only reads, in one transaction that never waits for writers; retry during an outage."""

        def once() -> T:
            with self.engine.connect() as connection:
                return work(connection.execution_options(hpo_reading=True))

        return self._retry(once, self.outage)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read-only transaction that never waits for writers; retry for at most READING_SECONDS."""
        seconds = min(self.outage, READING_SECONDS)
        with as_hpo_error(self.url), self._retry(self._living_connection, seconds) as connection:
            yield connection

    def _living_connection(self) -> Connection:
        # The caller's queries are not retried, so make sure that the server has not closed a pooled connection.
        # pool_pre_ping would also test before every write, which is retried anyway.
        connection = self.engine.connect().execution_options(hpo_reading=True)
        if self.url.get_backend_name() == "sqlite":
            return connection
        try:
            connection.exec_driver_sql("SELECT 1")
        except BaseException:
            connection.close()
            raise
        return connection

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

    def _retry(self, work: Callable[[], T], seconds: float) -> T:
        policy = RetryPolicy(seconds, self.address, ended=self._note_end)
        with as_hpo_error(self.url):
            return retry(work, policy)

    def _note_end(self) -> None:
        self.answered_again = time.monotonic()


def open_database(
    url: URL,
    *,
    create: bool,
    outage: float = OUTAGE_SECONDS,
    known_good: bool = False,
) -> Database:
    """Open the database at an address of `resolve_address`.

    A server that is starting up, or has no free connection, is retried. A refused connection is taken for a wrong
    address and fails at once, unless the address is `known_good`.

    Args:
        create: whether to create the tables if they are missing.
        outage: seconds for which transactions are retried.
        known_good: whether to wait for a server that refuses connections, as a worker does.

    Raises:
        StorageError: if it is missing (and not `create`), refused, not a database, or of another schema version.
        OutputError: if its folder is not writable.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create)
    database = Database(url, make_engine(url), outage)
    with as_hpo_error(url):
        version = retry(
            lambda: _ready(database, create), RetryPolicy(outage, database.address, first_contact=not known_good)
        )
    if version is None:
        raise StorageError(f"{shown(url)} has no hpo studies yet; create the first with `hpo launch`")
    check_version(url, version)
    return database


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
        found: int | None = connection.scalar(sa.select(sa.func.max(schema.version.c.version)))
        return found


def _ready(database: Database, create: bool) -> int | None:
    found = stored_version(database.engine)
    if found is not None or not create:
        return found
    with exclusive(database.engine, "schema"):
        found = stored_version(database.engine)
        if found is None:
            _create_tables(database)
            found = schema.SCHEMA_VERSION
    return found


def _create_tables(database: Database) -> None:
    from hpo.search.database.optuna_storage import plain_storage

    plain_storage(database.url, create=True).engine.dispose()
    with database.engine.begin() as connection:
        schema.metadata.create_all(connection, tables=schema.own_tables)
        connection.execute(sa.insert(schema.version).values(version=schema.SCHEMA_VERSION))
