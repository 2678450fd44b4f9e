"""Open SQLite files: with hpo's pragmas, and also where the file or its folder cannot be written.

A command that only reads leaves a file as it is: the mode of its journal is set before the first write, not at opening.
Files that cannot be written are read without SQLite's lock files, by a new connection for each transaction.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

_UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
"""Primary codes with which a first read fails where SQLite cannot create the index of its write-ahead log."""


def set_pragmas(connection: Any, _record: Any) -> None:
    """Set what holds for one connection and changes no file."""
    # The driver's own BEGIN is deferred, so two workers could both read before either writes. See `_begin_sqlite`.
    connection.isolation_level = None
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def open_file(_dialect: Any, _record: Any, arguments: Any, options: Any) -> sqlite3.Connection:
    """Open a file, the first of the driver's `arguments`."""
    path = Path(arguments[0])
    is_new = not path.exists()
    connection: sqlite3.Connection = sqlite3.connect(*arguments, **options)
    try:
        # The first read opens the write-ahead log, too.
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as error:
        connection.close()
        if is_new or error.sqlite_errorcode & 0xFF not in _UNWRITABLE or not os.access(path, os.R_OK):
            raise
        return _open_to_read(path, options, error)
    return connection


def close_snapshot(connection: Any, record: Any) -> None:
    """Close a connection that sees a file as it was at opening, once it is given back to the pool.

    Whoever may write the file can begin to at any time; the next use opens it anew.
    """
    if connection is not None and is_read_only(connection):
        record.invalidate()


def use_write_ahead_log(connection: Connection) -> None:
    """Let readers and a writer of the file work side by side, from now on, if it can be written at all."""
    # The driver's own cursor: SQLAlchemy counts this as the beginning of a transaction otherwise.
    raw: Any = connection.connection.dbapi_connection
    if raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal" or is_read_only(raw):
        return
    try:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    except OperationalError as error:
        # The write itself will say so.
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _UNWRITABLE:
            raise


def is_read_only(connection: sqlite3.Connection) -> bool:
    """Return whether a connection was opened to a file that could only be read."""
    return bool(connection.execute("PRAGMA query_only").fetchone()[0])


def is_disk_full(path: Path) -> bool:
    """Return whether the disk of a file has no room for even a page and its log."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return free < 2**16


def _open_to_read(path: Path, options: Any, refused: sqlite3.OperationalError) -> sqlite3.Connection:
    """Open a file whose write-ahead log cannot be opened beside it."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if log.exists() and log.stat().st_size:
            return _copied(path, log, options)
    except OSError:
        raise refused from None
    # No log, so the file is whole, and nobody on this host is writing now. See `close_snapshot` for later.
    connection: sqlite3.Connection = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True, **options)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _copied(path: Path, log: Path, options: Any) -> sqlite3.Connection:
    """Read a file with its write-ahead log into memory."""
    with tempfile.TemporaryDirectory(prefix="hpo-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        whole = sqlite3.connect(copy)
        connection: sqlite3.Connection = sqlite3.connect(":memory:", **options)
        whole.backup(connection)
        whole.close()
    connection.execute("PRAGMA query_only = ON")
    return connection
