"""What can go wrong with a database, said in one sentence without its password."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hpo.errors import HpoError, OutputError, StorageError
from hpo.search.database.address import shown
from hpo.search.database.filesystem import check_local

_OURS = (DataError, IntegrityError, NotSupportedError)
"""Faults of statements: a bug of hpo, which keeps its traceback."""

_CONFLICT = (
    "deadlock",
    "could not serialize",
    "lock wait timeout",
    "lock timeout",
    "record has changed since last read",
)
"""Two transactions met; one of them is to run again."""

_BUSY = (
    "is starting up",
    "is shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "terminating connection",
    "server shutdown",
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "max_user_connections",
    "database is locked",
    "all connections of this process",
)
"""A server that is there, and can do nothing for us at the moment."""

_OUT_OF_REACH = (
    "refused",
    "could not connect",
    "can't connect",
    "connection failed",
    "is the server running",
    "timeout expired",
    "timed out",
    "closed the connection",
    "connection is closed",
    "connection is lost",
    "lost connection",
    "gone away",
    "connection reset",
    "broken pipe",
    "not connected",
    "no route to host",
    "unreachable",
    "temporary failure in name resolution",
    "connection was killed",
    "bad file descriptor",
    "eof detected",
    "consuming input failed",
    "sending query failed",
    "has been silent",
)

_LASTING = ("password", "access denied", "authentication", "unknown database", "does not exist", "permission denied")
"""What no waiting cures."""

_FULL = ("database or disk is full", "no space left", "the table is full", "disk full")
_UNWRITABLE = ("readonly database", "read-only")

_ADVICE = (
    (
        ("refused", "could not connect", "can't connect", "is the server running"),
        "is the server up, on this host and port?",
    ),
    (("timeout", "timed out"), "the server does not answer; are host and port right, and no firewall between?"),
    (("could not translate", "resolve", "name or service"), "no host of that name is known here"),
    (("password", "access denied", "authentication"), "check user name and password"),
    (("unknown database", "does not exist"), "make the database first, or correct its name"),
    (("locked",), "another process has held the file's write lock too long"),
    (("not a database", "malformed"), "the file is not a SQLite database; give another path"),
    (("unable to open",), "check that the path exists and may be written to"),
    (("permission denied",), "the user of this address may not do that; ask for the right"),
)


class ErrorKind(Enum):
    """What an error of the database means for a transaction that could be run again."""

    NONE = "not the database's, or one that waiting does not cure"
    CONFLICT = "two transactions met, this one lost"
    BUSY = "the server is there and takes no work at the moment"
    OUT_OF_REACH = "no server answers"


@contextmanager
def as_hpo_error(url: URL) -> Iterator[None]:
    """Turns what a user can cure into StorageError, a full or unwritable disk into OutputError; bugs pass through."""
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
    """The database's fault behind an error, also behind Optuna's StorageInternalError; None if it is none."""
    while not isinstance(error, DBAPIError | PoolTimeoutError):
        if error.__cause__ is None or not type(error).__module__.startswith("optuna"):
            return None
        error = error.__cause__
    if isinstance(error, _OURS):
        return None
    if isinstance(error, ProgrammingError) and "permission denied" not in str(error).lower():
        return None
    return error


def kind_of(error: BaseException) -> ErrorKind:
    """What the error means for the transaction that met it."""
    found = database_error(error)
    if found is None:
        return ErrorKind.NONE
    low = _message(found).lower()
    for kind, words in (
        (ErrorKind.CONFLICT, _CONFLICT),
        (ErrorKind.BUSY, _BUSY),
        (ErrorKind.NONE, (*_FULL, *_UNWRITABLE, *_LASTING)),
        (ErrorKind.OUT_OF_REACH, _OUT_OF_REACH),
    ):
        if any(word in low for word in words):
            return kind
    lost = isinstance(found, DBAPIError) and found.connection_invalidated
    return ErrorKind.OUT_OF_REACH if lost else ErrorKind.NONE


def check_sqlite_folder(url: URL, create: bool) -> None:
    """Raises StorageError if the file is missing and not to be made, or its file system is shared between hosts.

    Raises OutputError if its folder does not let it be made.
    """
    path = Path(url.database or "")
    if path.is_dir():
        raise StorageError(f"{shown(url)} is a folder; give a file in it")
    check_local(path)
    if path.exists():
        return
    if not create:
        raise StorageError(f"{shown(url)} does not exist; give --storage or HPO_STORAGE, or make it with `hpo launch`")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} does not exist, so {path.name} cannot be made in it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent} may not be written to, so {path.name} cannot be made in it")


def _sentence(url: URL, fault: SQLAlchemyError) -> HpoError:
    text = _message(fault)
    if url.password:
        text = text.replace(str(url.password), "***")
    low = text.lower()
    if any(words in low for words in _FULL):
        return OutputError(f"{shown(url)}: the disk is full; what was committed before is kept")
    if any(words in low for words in _UNWRITABLE):
        return OutputError(f"{shown(url)} may not be written to")
    advice = next((advice for words, advice in _ADVICE if any(word in low for word in words)), "")
    return StorageError(f"{shown(url)}: {text}" + (f"; {advice}" if advice else ""))


def _message(fault: SQLAlchemyError) -> str:
    if not isinstance(fault, DBAPIError):
        return "all connections of this process are in use"
    arguments: tuple[object, ...] = getattr(fault.orig, "args", ())
    text = str(arguments[1]) if len(arguments) > 1 and isinstance(arguments[0], int) else str(fault.orig)
    return " ".join(text.split()) or type(fault.orig).__name__
