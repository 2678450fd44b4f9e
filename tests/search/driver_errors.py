"""Errors of the three drivers, made as the drivers make them and wrapped as SQLAlchemy wraps them; texts are German."""

from __future__ import annotations

import sqlite3
import struct
from typing import Any

import psycopg
import pymysql
import sqlalchemy as sa

UNREADABLE = "Übersetzte Meldung, die niemandem etwas sagt"


def of_postgresql(sqlstate: str, text: str = UNREADABLE, **options: Any) -> sa.exc.DBAPIError:
    """Make psycopg's exception for a SQLSTATE."""
    return wrapped(psycopg.errors.lookup(sqlstate)(text), psycopg.Error, **options)


def of_postgresql_client(error: psycopg.Error, **options: Any) -> sa.exc.DBAPIError:
    """Wrap an error that psycopg makes itself, which has no SQLSTATE."""
    return wrapped(error, psycopg.Error, **options)


def of_mysql(number: int, text: str = UNREADABLE, sqlstate: str = "HY000", **options: Any) -> sa.exc.DBAPIError:
    """Make PyMySQL's exception for a server's error packet."""
    packet = b"\xff" + struct.pack("<h", number) + b"#" + sqlstate.encode() + text.encode()
    try:
        pymysql.err.raise_mysql_exception(packet)
    except pymysql.err.Error as error:
        return wrapped(error, pymysql.err.Error, **options)
    raise AssertionError(packet)


def of_mysql_client(error: pymysql.err.Error, **options: Any) -> sa.exc.DBAPIError:
    """Wrap an error that PyMySQL makes itself."""
    return wrapped(error, pymysql.err.Error, **options)


def of_sqlite(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sa.exc.DBAPIError:
    """Make sqlite3's exception for an extended result code."""
    error = kind(UNREADABLE)
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_ANY"
    return wrapped(error, sqlite3.Error)


def wrapped(
    error: Exception, base: type[Exception], *, statement: str | None = "SELECT 1", invalidated: bool = False
) -> sa.exc.DBAPIError:
    """Wrap a driver's error as SQLAlchemy does; statement: None while it connects."""
    found = sa.exc.DBAPIError.instance(statement, {}, error, base, connection_invalidated=invalidated)
    assert isinstance(found, sa.exc.DBAPIError)
    return found
