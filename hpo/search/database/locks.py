"""A lock among processes for steps that do not fit in a transaction: creating and changing the tables."""

from __future__ import annotations

import fcntl
import os
import random
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hpo.errors import StorageError
from hpo.search.database.address import shown

WAIT_SECONDS = 300
"""Seconds to wait for another process that creates or changes the tables."""


@contextmanager
def exclusive(engine: Engine, purpose: str) -> Iterator[None]:
    """Hold a lock among all processes on one database; it is released if its holder dies.

    SQLite: flock on the file's folder, which leaves no lock file. Servers: an advisory lock of the session.
    """
    if engine.dialect.name == "sqlite":
        with _folder_locked(Path(engine.url.database or "").parent):
            yield
        return
    name = f"hpo {purpose} {engine.url.database}"
    number = zlib.crc32(name.encode())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "mysql":
            # The timeout for idle transactions would end this session, and release its lock, during a long step.
            connection.exec_driver_sql("SET SESSION wait_timeout = 28800")
            name = f"hpo {purpose} {number:08x}"
            take, release = sa.func.get_lock(name, 0), sa.func.release_lock(name)
        else:
            take, release = sa.func.pg_try_advisory_lock(number), sa.func.pg_advisory_unlock(number)
        _take(connection, sa.select(take), shown(engine.url))
        try:
            yield
        finally:
            connection.execute(sa.select(release))


def _take(connection: sa.Connection, take: sa.Select[Any], address: str) -> None:
    # Poll: a wait inside the server would be mistaken for a silent server.
    end = time.monotonic() + WAIT_SECONDS
    while not connection.scalar(take):
        if time.monotonic() > end:
            raise StorageError(f"{address}: another process has been changing its tables for {WAIT_SECONDS} s")
        time.sleep(random.uniform(0.05, 0.15))


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
