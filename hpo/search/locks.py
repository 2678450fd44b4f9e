"""One process at a time, for the few steps that a transaction cannot hold: making the tables."""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hpo.errors import StorageError
from hpo.search.address import shown

WAIT_SECONDS = 60


@contextmanager
def exclusive(engine: Engine, purpose: str) -> Iterator[None]:
    """Holds a lock among all processes on one database; it is let go when the holder dies.

    SQLite: flock on the file's folder, which leaves no lock file behind. Servers: an advisory lock of the session.
    """
    if engine.dialect.name == "sqlite":
        with _folder_locked(Path(engine.url.database or "").parent):
            yield
        return
    name = f"hpo {purpose} {engine.url.database}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "mysql":
            name = f"hpo {purpose} {zlib.crc32(name.encode()):08x}"
            if connection.scalar(sa.select(sa.func.get_lock(name, WAIT_SECONDS))) != 1:
                raise StorageError(f"{shown(engine.url)}: another process has been making its tables for a minute")
            release = sa.select(sa.func.release_lock(name))
        else:
            connection.execute(sa.select(sa.func.pg_advisory_lock(zlib.crc32(name.encode()))))
            release = sa.select(sa.func.pg_advisory_unlock(zlib.crc32(name.encode())))
        try:
            yield
        finally:
            connection.execute(release)


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
