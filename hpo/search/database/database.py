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
    """An open database whose tables exist; made by `open_database`.

    Every method raises StorageError if the database cannot be reached for `outage` seconds, OutputError if its disk
    is full. The log says when the database stops answering, and when it answers again.
    answered_again: when the last outage ended, on this process's monotonic clock. Leases ran out meanwhile whose
    workers live, and could not renew them.
    """

    def __init__(self, url: URL, engine: Engine, outage: float = OUTAGE_SECONDS) -> None:
        self.url = url
        self.engine = engine
        self.outage = outage
        self.answered_again = -math.inf
        self._optuna_checked = False

    @property
    def address(self) -> str:
        """The address as it may be printed."""
        return shown(self.url)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction and commits it; runs it again after a deadlock, and for as long as an outage.

        `work` must bear being carried out twice: the answer to a COMMIT that was carried out may have been lost.
        On SQLite the transaction holds the file's one write lock from its start.
        """

        def once() -> T:
            with self.engine.begin() as connection:
                return work(connection)

        return self._retry(once, self.outage)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work`, which only reads, in one transaction; runs it again for as long as an outage, as a worker wants.

        It waits for no writer.
        """

        def once() -> T:
            with self.engine.connect() as connection:
                return work(connection.execution_options(hpo_reading=True))

        return self._retry(once, self.outage)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for no writer; an outage is sat out for READING_SECONDS at most."""
        seconds = min(self.outage, READING_SECONDS)
        with as_hpo_error(self.url), self._retry(self._living_connection, seconds) as connection:
            yield connection

    def _living_connection(self) -> Connection:
        # What is done with it is not run again, so it must not be one that the server has closed meanwhile. Asked here
        # only: pool_pre_ping would ask before every write too, which is run again anyway.
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
        """Optuna's storage on this engine, for Optuna's tools; its calls are made once, see `patient_optuna`."""
        from hpo.search.database.optuna_storage import storage_on

        return self._retry(lambda: storage_on(self.url, self.engine), self.outage)

    def check_optuna(self) -> None:
        """Raise StorageError if Optuna's tables are not those of the installed Optuna; asks the database once."""
        from hpo.search.database.optuna_storage import plain_storage

        if not self._optuna_checked:
            self._retry(lambda: plain_storage(self.url).engine.dispose(), self.outage)
            self._optuna_checked = True

    def patient_optuna(self) -> BaseStorage:
        """Optuna's storage whose calls outlast an outage as `write`."""
        from hpo.search.database.optuna_storage import with_retries

        return with_retries(self.optuna, lambda work: self._retry(work, self.outage))

    def close(self) -> None:
        """Closes all connections."""
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
    """Opens the database at an address of `resolve_address`; makes its tables if `create`.

    outage: seconds that its later transactions try again. A server that is there and starts
    up, or has no connection free, is waited for; one that refuses is taken for a wrong address, and said at once,
    unless the address is known_good: a worker that starts while the server does not run waits for it.
    Raises StorageError if it is missing (and not `create`), refused, no database, or of another schema version;
    OutputError if its folder cannot be written to.
    """
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create)
    database = Database(url, make_engine(url), outage)
    with as_hpo_error(url):
        found = retry(lambda: _ready(database, create), RetryPolicy(outage, database.address, opening=not known_good))
    if found is None:
        raise StorageError(f"{shown(url)} holds no hpo study yet; `hpo launch` makes the first")
    check_version(url, found)
    return database


def check_version(url: URL, found: int) -> None:
    """Raises StorageError if tables of that version are not this hpo's."""
    if found == schema.SCHEMA_VERSION:
        return
    older, cure = ("older", "run `hpo db upgrade`") if found < schema.SCHEMA_VERSION else ("newer", "update hpo")
    raise StorageError(
        f"{shown(url)} has tables of version {found}, {older} than this hpo's {schema.SCHEMA_VERSION}; {cure}"
    )


def stored_version(engine: Engine) -> int | None:
    """Version of hpo's tables in a database; None if it has none."""
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
