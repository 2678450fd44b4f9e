"""Find out why a PostgreSQL server refused a connection, as a SQLSTATE.

For a failed connection psycopg has no code, only libpq's text in the server's language, so that a wrong password, an
unknown database and a server that is starting up could be distinguished by words only. No option changes this, since
the `lc_messages` of a session takes effect after login. But the server sends the code, and libpq writes it to its
protocol trace.
"""

from __future__ import annotations

import os
import re
import select
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

ACCEPTED = "00000"
"""SQLSTATE "successful completion": the server now accepts the connection that it refused before."""

NOT_REACHED = "08001"
"""SQLSTATE "client unable to establish connection": no server answered, or none that speaks PostgreSQL's protocol."""

_ERROR_RESPONSE = re.compile(rb'^B\t\d+\tErrorResponse\t.*? C "([0-9A-Z]{5})"', re.MULTILINE)


def sqlstate_of_refusal(refused: PGconn, seconds: float) -> str | None:
    """Connect once more and return the SQLSTATE of the server's reply.

    Args:
        refused: the failed connection, from psycopg's error.
        seconds: timeout of the reply.

    Returns:
        The server's code, ACCEPTED or NOT_REACHED; None if libpq cannot be traced (before version 14, or not on Linux).
    """
    import psycopg

    if not hasattr(os, "memfd_create"):
        return None
    try:
        # The trace may contain the password, so keep it off the disk.
        trace = os.memfd_create("hpo-connection-trace")
    except OSError:
        return None
    try:
        if _connect_traced(refused, trace, seconds):
            return ACCEPTED
        codes = _ERROR_RESPONSE.findall(os.pread(trace, os.fstat(trace).st_size, 0))
    except psycopg.Error:
        return None
    finally:
        os.close(trace)
    # libpq retries without TLS if the server refuses with it; psycopg's error also describes the last reply.
    return codes[-1].decode() if codes else NOT_REACHED


def _connect_traced(refused: PGconn, trace: int, seconds: float) -> bool:
    """Repeat a connection with libpq's trace written to a file descriptor; return whether the server accepted it."""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    options: dict[str, Any] = {option.keyword.decode(): option.val.decode() for option in refused.info if option.val}
    connection = pq.PGconn.connect_start(make_conninfo(**options).encode())
    try:
        connection.trace(trace)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        accepted = _finish_connecting(connection, seconds)
        connection.untrace()
        return accepted
    finally:
        connection.finish()


def _finish_connecting(connection: PGconn, seconds: float) -> bool:
    """Drive a started connection to its end; return whether the server accepted it in time."""
    from psycopg.pq import ConnStatus, PollingStatus

    end = time.monotonic() + seconds
    while connection.status != ConnStatus.BAD:
        state = connection.connect_poll()
        if state in (PollingStatus.OK, PollingStatus.FAILED):
            return state == PollingStatus.OK
        ready = select.poll()
        ready.register(connection.socket, select.POLLIN if state == PollingStatus.READING else select.POLLOUT)
        if not ready.poll(1000 * max(0.0, end - time.monotonic())):
            break
    return False
