"""SQLAlchemy engines for many workers on one database: few connections, none of which can hang forever."""

from __future__ import annotations

import errno
import os
import random
import socket
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from hpo.errors import StorageError, first_line
from hpo.search.database.errors import kind_by_code
from hpo.search.database.refusal import sqlstate_of_refusal
from hpo.search.database.sqlite import close_snapshot, open_file, set_pragmas, use_write_ahead_log

DriverArguments = dict[str, str | int | float]
"""Arguments of a driver's `connect`, beside the address."""

CONNECT_TIMEOUT = 10
"""Seconds to wait for a database server to accept a connection."""

BUSY_TIMEOUT = 60
"""Seconds to wait for another writer of a SQLite file."""

_ASK_AGAIN = (0.001, 0.02)
"""Shortest and longest pause between two attempts to take a SQLite file's write lock, in seconds; grows by 1.2."""

SILENCE_SECONDS = 45.0
"""Seconds to wait for any byte of a server's reply before the connection is closed."""

LOCK_SECONDS = 20
"""Seconds to wait for a lock on a server, well below SILENCE_SECONDS; then the transaction is retried."""

STUCK_SECONDS = 60
"""Seconds after which a server aborts an idle transaction: a suspended worker would block all others."""

CONNECTIONS = 2
"""Largest number of connections of one process to a server: one for the training loop, one for the heartbeat."""

IDLE_SECONDS = 1.0
"""Seconds after which unused connections are closed, so that idle workers hold none."""


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
"""Those of this process, see `_close_before_fork`."""


def _close_before_fork() -> None:
    """Close all idle connections, so that a forked process inherits none.

    Locks of files are not inherited: the log of a SQLite file would be removed under a child that writes to it, once
    its parent has closed the file (https://sqlite.org/howtocorrupt.html, 2.6). Two processes on one connection to a
    server would read each other's answers.
    """
    for engine in list(_engines):
        engine.dispose()


os.register_at_fork(before=_close_before_fork)


def make_engine(url: URL) -> Engine:
    """Create an engine for one process, with at most CONNECTIONS to a server.

    Raises:
        StorageError: if the driver does not know an option of the address; of a server, when it connects.
    """
    if url.get_backend_name() == "sqlite":
        # Keep connections open: the last one to close would checkpoint the whole write-ahead log.
        engine = new_engine(url)
        set_up_sqlite(engine)
    else:
        engine = new_engine(url, pool_size=1, max_overflow=CONNECTIONS - 1, pool_timeout=60)
        guard_connections(engine)
        _close_when_idle(engine)
    _engines.add(engine)
    return engine


def set_up_sqlite(engine: Engine) -> None:
    """Set the pragmas of each new connection, and make writing transactions take the write lock at their start."""
    sa.event.listen(engine, "do_connect", open_file)
    sa.event.listen(engine, "connect", set_pragmas)
    sa.event.listen(engine, "checkin", close_snapshot)
    sa.event.listen(engine, "begin", _begin_sqlite)


def new_engine(url: URL, **options: Any) -> Engine:
    """Create an engine with hpo's arguments for the driver. Raises StorageError as `make_engine`."""
    try:
        return sa.create_engine(url, connect_args=driver_arguments(url), **options)
    except (sa.exc.ArgumentError, ValueError, TypeError) as error:
        raise refused_options(error) from None


def refused_options(error: Exception) -> StorageError:
    """Return the error for an address that a driver refuses without asking a server."""
    return StorageError(f"the driver does not accept this address or its options after ?: {first_line(error)}")


def driver_arguments(url: URL) -> DriverArguments:
    """Return arguments for the driver's `connect`; options in the address take precedence."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _unless_given(url, {"timeout": BUSY_TIMEOUT})
    if backend == "mysql":
        # max_execution_time exists in MySQL only, idle_transaction_timeout in MariaDB only; wait_timeout in both.
        setup = f"SET SESSION wait_timeout = {STUCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}"
        limits = {"read_timeout": SILENCE_SECONDS, "write_timeout": SILENCE_SECONDS}
        return _unless_given(url, {"connect_timeout": CONNECT_TIMEOUT, "init_command": setup, **limits})
    # The default is the encoding of the server's database, in which psycopg cannot write every letter.
    arguments: DriverArguments = {"connect_timeout": CONNECT_TIMEOUT, "client_encoding": "utf8"}
    # Both ends detect that the other's host is gone: by keepalives while they wait, by the timeout while they send. On
    # the server, this releases the locks of a worker whose node died.
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
    """Refuse options in words, and close a PostgreSQL connection whose server has been silent for SILENCE_SECONDS.

    libpq has no such timeout: TCP timers detect that the other host is gone, but not that the server process, or a
    proxy in front of it, is suspended.
    """
    if engine.dialect.name != "sqlite":
        sa.event.listen(engine, "do_connect", _connect)


def _unless_given(url: URL, arguments: DriverArguments) -> DriverArguments:
    return {name: value for name, value in arguments.items() if name not in url.query}


def _connect(dialect: Any, _record: Any, arguments: list[Any], options: DriverArguments) -> Any:
    connect = _connect_guarded if dialect.driver == "psycopg" else dialect.connect
    dbapi = dialect.loaded_dbapi
    # A driver checks options when it connects, some of them after the login, and has no class of error for that.
    try:
        return connect(*arguments, **options)
    except (dbapi.ProgrammingError, dbapi.NotSupportedError) as error:
        if kind_by_code(error) is not None:
            raise
        raise refused_options(error) from None
    except (dbapi.Error, MemoryError):
        raise
    except Exception as error:
        raise refused_options(error) from None


def _connect_guarded(*arguments: Any, **options: Any) -> Any:
    """Connect; attach the cause to an error: the server's SQLSTATE, or the error of the operating system."""
    import psycopg

    try:
        return _guarded_class().connect(*arguments, **options)
    except psycopg.errors.ConnectionTimeout as error:
        raise error from TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    except psycopg.OperationalError as error:
        if error.pgconn is None:
            # psycopg resolves the host before it connects, and does not expose the resolver's error.
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


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("hpo_reading", False):
        connection.exec_driver_sql("BEGIN")
        return
    use_write_ahead_log(connection)
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        if not _acquired_write_lock(raw):
            # Once more through SQLAlchemy, to raise its error.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")


def _acquired_write_lock(connection: Any) -> bool:
    """Poll for the file's write lock for up to BUSY_TIMEOUT seconds; return whether it was acquired."""
    # SQLite's busy handler backs off to 100 ms, so the longest-waiting connection retries least often (starvation).
    # With a constant pause of a few milliseconds, 64 workers on two cores do little but poll.
    end, pause = time.monotonic() + BUSY_TIMEOUT, _ASK_AGAIN[0]
    while time.monotonic() < end:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # The low byte: another process that recovers the file's log is SQLITE_BUSY_RECOVERY.
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_READONLY:
                # Optuna's storage reads in such transactions, too; a write will fail.
                connection.execute("BEGIN")
                return True
            if code != sqlite3.SQLITE_BUSY:
                return False
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(1.2 * pause, _ASK_AGAIN[1])
        else:
            return True
    return False


def _close_when_idle(engine: Engine) -> None:
    """Close an engine's connections when none has been used for IDLE_SECONDS."""
    # A worker uses its connection for milliseconds per minute; open connections would limit a PostgreSQL server with
    # default settings to 97 workers. With a new connection for each transaction, a report takes 3 times as long on
    # PostgreSQL and 10 times on MySQL (docs/PERFORMANCE.md).
    timer = threading.Timer(IDLE_SECONDS, engine.dispose)

    def close() -> None:
        pool = engine.pool
        assert isinstance(pool, sa.QueuePool)
        # A connection in use restarts the timer when it is returned to the pool.
        if pool.checkedout() == 0:
            engine.dispose()

    def restart(_connection: Any, _record: Any) -> None:
        nonlocal timer
        timer.cancel()
        timer = threading.Timer(IDLE_SECONDS, close)
        timer.daemon = True
        # If there is not enough memory for a thread, the connection stays open until its next use.
        with suppress(RuntimeError):
            timer.start()

    sa.event.listen(engine, "checkin", restart)
