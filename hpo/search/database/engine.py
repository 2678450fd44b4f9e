"""Engines with the settings that many workers on one database need: few connections, and none that hangs for ever."""

from __future__ import annotations

import errno
import os
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from hpo.search.database.refusal import sqlstate_of_refusal

DriverArguments = dict[str, str | int | float]
"""Arguments of a driver's `connect`, beside the address."""

CONNECT_TIMEOUT = 10
"""Seconds to wait for a database server to take a connection."""

BUSY_TIMEOUT = 60
"""Seconds to wait for another writer of a SQLite file."""

_ASK_AGAIN = (0.001, 0.02)
"""Seconds between two tries to take a SQLite file's write lock: at first, and at most; each is 1.2 times the last."""

SILENCE_SECONDS = 45.0
"""Seconds without a byte from a server that was asked something, after which the connection is given up."""

LOCK_SECONDS = 20
"""Seconds to wait for a lock of a server, well below SILENCE_SECONDS; the transaction is run again after it."""

STUCK_SECONDS = 60
"""Seconds after which a server ends a transaction whose client says nothing: a stopped worker holds up all others."""

CONNECTIONS = 2
"""Connections of one process to a server at most: one for the loop and one for the heartbeat."""

IDLE_SECONDS = 1.0
"""Seconds after which connections that nobody uses are closed, so that idle workers hold none."""


def make_engine(url: URL) -> Engine:
    """An engine for one process, with CONNECTIONS to a server at most."""
    if url.get_backend_name() == "sqlite":
        # Connections are kept: the last one to close would write the whole log of writes back into the file.
        engine = sa.create_engine(url, connect_args=driver_arguments(url))
        set_up_sqlite(engine)
        return engine
    engine = sa.create_engine(
        url, connect_args=driver_arguments(url), pool_size=1, max_overflow=CONNECTIONS - 1, pool_timeout=60
    )
    guard_connections(engine)
    _close_when_idle(engine)
    return engine


def set_up_sqlite(engine: Engine) -> None:
    """Set the pragmas of each new connection, and let each transaction that writes take the write lock at its start."""
    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin_sqlite)


def driver_arguments(url: URL) -> DriverArguments:
    """What the driver's `connect` gets beside the address; an option of the address goes before ours."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"timeout": BUSY_TIMEOUT}
    if backend == "mysql":
        # max_execution_time and idle_transaction_timeout are each of one kind of server; wait_timeout is of both.
        setup = f"SET SESSION wait_timeout = {STUCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}"
        limits = {"read_timeout": SILENCE_SECONDS, "write_timeout": SILENCE_SECONDS}
        return _unless_given(url, {"connect_timeout": CONNECT_TIMEOUT, "init_command": setup, **limits})
    arguments: DriverArguments = {"connect_timeout": CONNECT_TIMEOUT}
    # Client and server each find out that the other's host is gone: keepalives while they wait, the timeout while
    # they send. The server's part frees the locks of a worker whose node died.
    arguments |= {"keepalives": 1, "keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 5}
    arguments |= {"tcp_user_timeout": int(SILENCE_SECONDS * 1000)}
    settings = {
        "lock_timeout": f"{LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{STUCK_SECONDS}s",
        "tcp_keepalives_idle": "20",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "5",
    }
    arguments["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return _unless_given(url, arguments)


def guard_connections(engine: Engine) -> None:
    """Gives up a PostgreSQL connection whose server has been silent for SILENCE_SECONDS.

    libpq has no such limit: TCP's own timers end only a connection whose other host is gone, not one whose server
    process, or a proxy before it, has stopped.
    """
    if engine.dialect.driver == "psycopg":
        sa.event.listen(engine, "do_connect", _connect_guarded)


def _unless_given(url: URL, arguments: DriverArguments) -> DriverArguments:
    return {name: value for name, value in arguments.items() if name not in url.query}


def _connect_guarded(_dialect: Any, _record: Any, arguments: list[Any], options: DriverArguments) -> Any:
    """Connect, and give an error what tells its kind: the server's SQLSTATE, or the error of the operating system."""
    import psycopg

    try:
        return _guarded_class().connect(*arguments, **options)
    except psycopg.errors.ConnectionTimeout as error:
        raise error from TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    except psycopg.OperationalError as error:
        if error.pgconn is None:
            # psycopg looks the host up before it makes a connection, and keeps the resolver's error to itself.
            raise error from socket.gaierror(socket.EAI_NONAME, "the host's name was not resolved")
        error.sqlstate = sqlstate_of_refusal(error.pgconn, CONNECT_TIMEOUT)
        raise


def _guarded_class() -> Any:
    import psycopg
    from psycopg.errors import _WaitTimeout

    class GuardedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, timeout=SILENCE_SECONDS if timeout is None else timeout)
            except _WaitTimeout:
                if timeout is not None:
                    raise
                self.close()
                raise psycopg.errors.ConnectionFailure(
                    f"the server has been silent for {SILENCE_SECONDS:.0f} s"
                ) from None

    return GuardedConnection


def _set_pragmas(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is deferred: two workers would both read before either writes. See _begin_sqlite.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("hpo_reading", False):
        connection.exec_driver_sql("BEGIN")
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        if not _begun_to_write(raw):
            # Once more, through SQLAlchemy, whose error says what is the matter.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")


def _begun_to_write(connection: Any) -> bool:
    """Asks for the file's write lock again and again, for BUSY_TIMEOUT seconds; whether it was given.

    SQLite's own handler goes up to 100 ms between two tries at once: whoever has waited longest asks least often. With
    a pause that stays at a few milliseconds, 64 workers on two cores do little but ask.
    """
    end, pause = time.monotonic() + BUSY_TIMEOUT, _ASK_AGAIN[0]
    while time.monotonic() < end:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # The low byte: another process that recovers the file's log is SQLITE_BUSY_RECOVERY.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return False
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(1.2 * pause, _ASK_AGAIN[1])
        else:
            return True
    return False


def _close_when_idle(engine: Engine) -> None:
    """Close an engine's connections when none has been used for IDLE_SECONDS.

    A worker speaks to its server for milliseconds in a minute: connections that it kept would let no more than 97
    workers at a PostgreSQL with default settings. With a connection for each transaction, a report takes 3 times as
    long on PostgreSQL and 10 times on MySQL (docs/PERFORMANCE.md).
    """
    timer = threading.Timer(IDLE_SECONDS, engine.dispose)

    def close() -> None:
        pool = engine.pool
        assert isinstance(pool, sa.QueuePool)
        # One that is in use starts the timer again when it comes back.
        if pool.checkedout() == 0:
            engine.dispose()

    def restart(_connection: Any, _record: Any) -> None:
        nonlocal timer
        timer.cancel()
        timer = threading.Timer(IDLE_SECONDS, close)
        timer.daemon = True
        # Where memory is too short for a thread, the connection stays open until the next use.
        with suppress(RuntimeError):
            timer.start()

    sa.event.listen(engine, "checkin", restart)
