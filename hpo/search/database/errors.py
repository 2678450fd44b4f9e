"""Classify database errors: whether to retry the transaction, and the message for the user.

Errors are classified by exception class and code, never by their text, which is in the language of the server:
`sqlite_errorcode` (SQLite), the number in `args[0]` (PyMySQL) and the SQLSTATE (psycopg).

Sources: PostgreSQL manual, appendix A; MariaDB Error Code Reference; MySQL Server and Client Error References;
sqlite.org/rescode.html.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hpo.errors import HpoError, OutputError, StorageError
from hpo.files import file_type
from hpo.search.database.address import shown
from hpo.search.database.filesystem import check_local
from hpo.search.database.sqlite import is_disk_full


class ErrorKind(Enum):
    """Kind of a database error, which decides whether the transaction is retried."""

    CONFLICT = "two transactions conflicted, this one was aborted"
    BUSY = "the server is up but accepts no work at the moment"
    OUT_OF_REACH = "no server answers"
    DISK_FULL = "the database's disk is full"
    READ_ONLY = "the database is read-only"
    LOGIN_REFUSED = "wrong user or password"
    NO_DATABASE = "no database of that name"
    NOT_ALLOWED = "the user lacks a permission"
    NOT_A_DATABASE = "the file is not a SQLite database"
    DAMAGED = "the SQLite file is damaged"
    CANNOT_OPEN = "the SQLite file cannot be opened"
    DISK_FAILED = "the file system of the SQLite file failed"
    NOT_STORABLE = "a text with letters that its column cannot hold"
    OTHER = "any other database error"
    BUG = "not a database error, or an invalid statement"


_STATEMENT_ERRORS = (DataError, IntegrityError, NotSupportedError)
"""Classes of errors in our own statements, which keep their traceback whatever their code."""

_BY_SQLSTATE = {
    "00000": ErrorKind.BUSY,  # refused before, but accepted now; see hpo.search.database.refusal
    "22021": ErrorKind.NOT_STORABLE,  # character_not_in_repertoire
    "22P05": ErrorKind.NOT_STORABLE,  # untranslatable_character
    "25006": ErrorKind.READ_ONLY,  # read_only_sql_transaction
    "25P03": ErrorKind.BUSY,  # idle_in_transaction_session_timeout: this process was stopped for too long
    "25P04": ErrorKind.BUSY,  # transaction_timeout
    "3D000": ErrorKind.NO_DATABASE,  # invalid_catalog_name
    "42501": ErrorKind.NOT_ALLOWED,  # insufficient_privilege
    "53000": ErrorKind.BUSY,  # insufficient_resources
    "53100": ErrorKind.DISK_FULL,
    "53200": ErrorKind.BUSY,  # out_of_memory, on the server
    "53300": ErrorKind.BUSY,  # too_many_connections
    "55P03": ErrorKind.CONFLICT,  # lock_not_available
    "57014": ErrorKind.BUSY,  # query_canceled, by an administrator or a time limit
    "57P01": ErrorKind.BUSY,  # admin_shutdown, and pg_terminate_backend
    "57P02": ErrorKind.BUSY,  # crash_shutdown
    "57P03": ErrorKind.BUSY,  # cannot_connect_now: starts up, shuts down, or recovers
    "57P04": ErrorKind.NO_DATABASE,  # database_dropped
    "57P05": ErrorKind.BUSY,  # idle_session_timeout
    "72000": ErrorKind.CONFLICT,  # snapshot_too_old
}

_BY_SQLSTATE_CLASS = {
    "08": ErrorKind.OUT_OF_REACH,  # connection exceptions
    "28": ErrorKind.LOGIN_REFUSED,  # invalid authorization: no such user, wrong password, not in pg_hba.conf
    "40": ErrorKind.CONFLICT,  # transaction rollback: deadlock, serialization failure
}

_BY_MYSQL_NUMBER = {
    number: kind
    for kind, numbers in {
        ErrorKind.CONFLICT: (
            *(1205, 1213, 1613, 1614),  # lock wait timeout, deadlock, and both in an XA transaction
            1020,  # ER_CHECKREAD: record has changed since last read
            3101,  # rolled back by group replication
            3572,  # ER_LOCK_NOWAIT
        ),
        ErrorKind.BUSY: (
            *(1040, 1203, 1226),  # too many connections: of all, of this user
            *(1037, 1041, 1135, 1637),  # out of memory, threads or transactions
            *(1053, 1077, 1079),  # shuts down
            1047,  # a node of a Galera cluster that is not ready
            *(1317, 1969, 3024),  # statement killed by an administrator or a time limit
        ),
        ErrorKind.OUT_OF_REACH: (
            *(2002, 2003, 2005, 2006, 2012, 2013, 2055),  # of the client: no connection, or lost
            *(1042, 1043, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031),  # of the server: connection aborted
        ),
        ErrorKind.DISK_FULL: (20, 1021, 1114),
        ErrorKind.READ_ONLY: (1036, 1290, 1792, 1836),
        ErrorKind.LOGIN_REFUSED: (1045, 1698, 1820, 1862, 3118, 4151),
        ErrorKind.NO_DATABASE: (1046, 1049),
        ErrorKind.NOT_STORABLE: (1267, 1270, 1271, 1366, 3854, 3988),  # a letter that is not in its character set
        ErrorKind.NOT_ALLOWED: (1044, 1130, 1142, 1143, 1227, 1370),
    }.items()
    for number in numbers
}

_MYSQL_FILE_ERRORS = (3, 1026, 1030)
"""Numbers for a failed write to a file; the reason is the errno of the server's system, which is in the text."""

_FULL_ERRNO = re.compile(r"\b(28|122)\b")
"""ENOSPC and EDQUOT of Linux."""

_BY_SQLITE_CODE = {
    sqlite3.SQLITE_BUSY: ErrorKind.BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT: ErrorKind.CONFLICT,
    sqlite3.SQLITE_LOCKED: ErrorKind.BUSY,
    sqlite3.SQLITE_PROTOCOL: ErrorKind.BUSY,  # a race for the locks of the write-ahead log
    sqlite3.SQLITE_SCHEMA: ErrorKind.CONFLICT,  # another process changed the tables
    sqlite3.SQLITE_FULL: ErrorKind.DISK_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: ErrorKind.DISK_FULL,  # no space for the index of the write-ahead log
    sqlite3.SQLITE_IOERR: ErrorKind.DISK_FAILED,
    sqlite3.SQLITE_READONLY: ErrorKind.READ_ONLY,
    sqlite3.SQLITE_PERM: ErrorKind.NOT_ALLOWED,
    sqlite3.SQLITE_AUTH: ErrorKind.NOT_ALLOWED,
    sqlite3.SQLITE_NOTADB: ErrorKind.NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: ErrorKind.DAMAGED,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.CANNOT_OPEN,
}
"""By extended code, else by primary code, which is the low byte of an extended one."""

_ADVICE = {
    ErrorKind.BUSY: "the server has no free connection or lock, or is starting up; try again later",
    ErrorKind.LOGIN_REFUSED: "check user name and password",
    ErrorKind.NO_DATABASE: "create the database first, or correct its name",
    ErrorKind.NOT_ALLOWED: "the user of this address has no right to do that; ask for it",
    ErrorKind.NOT_A_DATABASE: "the file is not a SQLite database; give another path",
    ErrorKind.DAMAGED: "the file is damaged; restore a backup with `hpo db restore`",
    ErrorKind.CANNOT_OPEN: "check that the path exists and is writable",
    ErrorKind.NOT_STORABLE: "its encoding has no such letter; give another text, or a database in UTF-8 (utf8mb4)",
    ErrorKind.DISK_FAILED: "the file system failed; is a quota exhausted?",
}

_REFUSED = "is the server running on this host and port?"
_SILENT = "the server does not answer; are host and port right, and does no firewall block it?"
_UNKNOWN_HOST = "the host name cannot be resolved; check it"
_UNEXPLAINED = "is the server running on this host and port, and are user, password and database right?"
_FILE_LOCKED = "another process has held the file's write lock for too long"


@contextmanager
def as_hpo_error(url: URL) -> Iterator[None]:
    """Turn database errors into StorageError, or OutputError for a full or unwritable disk; let bugs propagate."""
    try:
        yield
    except HpoError:
        raise
    except Exception as error:
        found = database_error(error)
        if found is None:
            raise
        raise _sentence(url, found) from error


def database_error(error: BaseException) -> SQLAlchemyError | None:
    """Return the database error that caused `error`, also behind Optuna's StorageInternalError; None for a bug."""
    while not isinstance(error, DBAPIError | PoolTimeoutError):
        if error.__cause__ is None or not type(error).__module__.startswith("optuna"):
            return None
        error = error.__cause__
    if isinstance(error, DBAPIError) and kind_by_code(error.orig) is ErrorKind.NOT_STORABLE:
        return error
    if isinstance(error, _STATEMENT_ERRORS):
        return None
    if isinstance(error, ProgrammingError) and kind_by_code(error.orig) is None:
        return None
    return error


def kind_of(error: BaseException) -> ErrorKind:
    """Classify an error."""
    found = database_error(error)
    return ErrorKind.BUG if found is None else _kind(found)


def check_sqlite_folder(url: URL, create: bool) -> None:
    """Check that a SQLite file exists or can be created.

    Raises:
        StorageError: if it is missing and `create` is false, or it is on a network file system.
        OutputError: if it cannot be created in its folder.
    """
    path = Path(url.database or "")
    try:
        kind = file_type(path)
    except OSError as error:
        raise StorageError(f"{shown(url)} cannot be opened: {error.strerror}") from None
    if kind == stat.S_IFDIR:
        raise StorageError(f"{shown(url)} is a folder; give a file in it")
    check_local(path)
    if kind == stat.S_IFREG:
        return
    if kind is not None:
        raise StorageError(f"{shown(url)} is a device or a pipe; give a file")
    if not create:
        raise StorageError(
            f"{shown(url)} does not exist; give --storage or HPO_STORAGE, or create it with `hpo launch`"
        )
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist, so {path.name} cannot be created in it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent} is not writable, so {path.name} cannot be created in it")


def _kind(error: SQLAlchemyError) -> ErrorKind:
    if not isinstance(error, DBAPIError):
        return ErrorKind.BUSY
    if (kind := kind_by_code(error.orig)) is not None:
        return kind
    # A server always sends a code, so a connection error without one comes from the driver: it reached no server.
    of_connection = isinstance(error, OperationalError | InternalError) and not isinstance(error.orig, sqlite3.Error)
    lost = error.connection_invalidated or (of_connection and _is_codeless(error.orig))
    return ErrorKind.OUT_OF_REACH if lost else ErrorKind.OTHER


def kind_by_code(error: BaseException | None) -> ErrorKind | None:
    """Classify a driver's error by its code; None if it has none, or an unknown one."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)  # absent where Python and not SQLite raised it
        return _BY_SQLITE_CODE.get(code) or _BY_SQLITE_CODE.get(code & 0xFF)
    number, sqlstate = _mysql_number(error), _sqlstate(error)
    # The number takes precedence: MySQL sends SQLSTATEs too, but most of its errors share HY000 or 42000.
    if number in _MYSQL_FILE_ERRORS:
        return ErrorKind.DISK_FULL if _FULL_ERRNO.search(_text(error)) else None
    if number in _BY_MYSQL_NUMBER:
        return _BY_MYSQL_NUMBER[number]
    if sqlstate is None:
        return None
    return _BY_SQLSTATE.get(sqlstate) or _BY_SQLSTATE_CLASS.get(sqlstate[:2])


def _mysql_number(error: BaseException | None) -> int | None:
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) and first > 0 else None


def _sqlstate(error: BaseException | None) -> str | None:
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)  # psycopg; psycopg2
    return str(sqlstate) if sqlstate else None


def _is_codeless(error: BaseException | None) -> bool:
    return _mysql_number(error) is None and _sqlstate(error) is None


def _sentence(url: URL, error: SQLAlchemyError) -> HpoError:
    kind = _kind(error)
    unwritable = (ErrorKind.DISK_FAILED, ErrorKind.CANNOT_OPEN, ErrorKind.READ_ONLY)
    of_file = url.get_backend_name() == "sqlite"
    if of_file and kind in unwritable and is_disk_full(Path(url.database or "")):
        # SQLite says so only where a page of the file itself is written.
        kind = ErrorKind.DISK_FULL
    if kind is ErrorKind.DISK_FULL:
        return OutputError(f"{shown(url)}: the disk is full; earlier commits are kept")
    if kind is ErrorKind.READ_ONLY:
        return OutputError(f"{shown(url)} is read-only")
    if not isinstance(error, DBAPIError):
        return StorageError(f"{shown(url)}: all connections of this process are in use")
    text, advice = _text(error.orig), _advice(kind, error)
    if url.password:
        text = text.replace(str(url.password), "***")
    return StorageError(f"{shown(url)}: {text}" + (f"; {advice}" if advice else ""))


def _advice(kind: ErrorKind, error: DBAPIError) -> str:
    if kind is ErrorKind.BUSY and isinstance(error.orig, sqlite3.Error):
        return _FILE_LOCKED
    if kind is not ErrorKind.OUT_OF_REACH:
        return _ADVICE.get(kind, "")
    cause = _os_error(error.orig)
    if isinstance(cause, socket.gaierror):
        return _UNKNOWN_HOST
    if isinstance(cause, TimeoutError):
        return _SILENT
    return _UNEXPLAINED if error.statement is None and _is_codeless(error.orig) else _REFUSED


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's error that caused a driver's error."""
    while error is not None and not isinstance(error, OSError):
        error = getattr(error, "original_exception", None) or error.__cause__ or error.__context__
    return error


def _text(error: BaseException | None) -> str:
    """Return the driver's text in one line, without the number that PyMySQL puts before it."""
    arguments: tuple[object, ...] = getattr(error, "args", ())
    text = str(arguments[1]) if len(arguments) > 1 and isinstance(arguments[0], int) else str(error)
    return " ".join(text.split()) or type(error).__name__
