"""The one host that may work on a SQLite file.

SQLite's log of writes (WAL) is shared memory of one machine: two hosts on one file damage it, also where the file
system's type does not give the sharing away. On servers there is nothing to guard.
"""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.schema import database_now

SILENT_SECONDS = 120.0
"""Seconds after its last sign of life when a host is taken to have left the file."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_host = schema.host.c


@cache
def this_host() -> str:
    """`NAME/BOOT`: the host's name, and what tells its run of the kernel, which all containers on it share."""
    try:
        return f"{socket.gethostname()}/{_BOOT.read_text().strip()}"[:255]
    except OSError:
        return socket.gethostname()[:255]


def check(database: Database, host: str | None = None) -> None:
    """Takes a SQLite file for this host; does nothing on a server. For each process that is going to write.

    Raises StorageError if another host has been at work on it in the last SILENT_SECONDS.
    """
    if database.url.get_backend_name() == "sqlite":
        database.write(lambda connection: _take(connection, database.address, host or this_host()))


def seen(connection: Connection, host: str | None = None) -> None:
    """Notes in a running transaction that this host is at work; does nothing on a server. For each heartbeat.

    A file that another host took over in the meantime, because this one was silent, is not taken back.
    """
    if connection.dialect.name == "sqlite":
        change = sa.update(schema.host).where(_host.host == (host or this_host())).values(seen=database_now())
        connection.execute(change)


def _take(connection: Connection, address: str, host: str) -> None:
    silent = (database_now() - _host.seen).label("silent")
    for row in connection.execute(sa.select(_host.host, silent)):
        # A clock that was set back makes a host look young for ever; at most it is one that may have left.
        if not _same(row.host, host) and abs(row.silent) < SILENT_SECONDS:
            raise StorageError(
                f"{address} is at work on host {row.host.partition('/')[0]}, seen {max(0, row.silent):.0f} s ago, and "
                "a SQLite file is for one host; start a server with `hpo db serve` and move the study there with "
                f"`hpo db copy`, or wait {SILENT_SECONDS:.0f} s after the last worker there has ended"
            )
    connection.execute(sa.delete(schema.host))
    connection.execute(sa.insert(schema.host).values(host=host, seen=database_now()))


def _same(one: str, other: str) -> bool:
    """Whether both are one machine: in two containers, or before and after it was started anew."""
    (name, _, boot), (other_name, _, other_boot) = one.partition("/"), other.partition("/")
    return name == other_name or (boot == other_boot and bool(boot))
