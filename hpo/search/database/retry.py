"""Retry transactions after deadlocks, during a server restart, and after a lost connection."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hpo.search.database.errors import ErrorKind, kind_of

OUTAGE_SECONDS = 300.0
"""Seconds for which workers, and commands that wait for work, retry while the database does not answer."""

LOOKING_SECONDS = 15.0
"""The same for commands that look once, since a user is waiting for them."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
"""Shortest and longest pause between retries, in seconds; doubles, with a random factor of 0.5 to 1.5."""

_QUIET_SECONDS = 3.0
"""Seconds before conflicts and a busy server are logged: short ones are normal with many workers."""

_STATES = {
    ErrorKind.OUT_OF_REACH: "the database does not answer",
    ErrorKind.BUSY: "the database has no free connection or lock, or is starting up",
    ErrorKind.CONFLICT: "transactions keep conflicting",
}

T = TypeVar("T")

_log = logging.getLogger(__name__)

_running = threading.local()


@dataclass(frozen=True)
class RetryPolicy:
    """How long to retry, and what to do meanwhile.

    Attributes:
        outage: seconds for which to retry.
        address: of the database, for the log.
        first_contact: whether the server has never answered yet; if it then refuses connections or its host is unknown,
            the address is taken to be wrong, and there is no retry.
        ended: called when a server that was unreachable has answered.
    """

    outage: float
    address: str = "the database"
    first_contact: bool = False
    ended: Callable[[], None] = lambda: None


def retry(work: Callable[[], T], policy: RetryPolicy) -> T:
    """Call `work` and return its result; retry after transient errors.

    `work` must be idempotent: if the reply to COMMIT was lost, the retry finds its own rows.

    Raises:
        Exception: the last error when the time is up; any other error at once.
    """
    # A nested call is not retried: only the outermost one can restart its transaction.
    if getattr(_running, "here", False):
        return work()
    _running.here = True
    try:
        return _repeat(work, policy)
    finally:
        _running.here = False


def _repeat(work: Callable[[], T], policy: RetryPolicy) -> T:
    pause, logged, first_failure, was_away = _FIRST_PAUSE, False, 0.0, False
    first_contact = policy.first_contact
    while True:
        try:
            result = work()
        except Exception as error:
            kind, now = kind_of(error), time.monotonic()
            # A server that lost or refused a connection in words is there; no address can be wrong that led to it.
            first_contact = first_contact and kind is ErrorKind.OUT_OF_REACH and _is_from_connecting(error)
            if not _may_pass(kind, first_contact):
                raise
            is_away, is_repeated = kind is ErrorKind.OUT_OF_REACH, bool(first_failure)
            first_failure, was_away = first_failure or now, was_away or is_away
            if now >= first_failure + policy.outage:
                raise
            # A connection that was lost and replaced at once is no outage.
            if not logged and ((is_away and is_repeated) or now > first_failure + _QUIET_SECONDS):
                logged = True
                _log.warning("%s: %s; retrying for %s", policy.address, _STATES[kind], _format_seconds(policy.outage))
            time.sleep(min(pause * random.uniform(0.5, 1.5), first_failure + policy.outage - now))
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if was_away:
                policy.ended()
            if logged:
                _log.warning("%s: the database answers again", policy.address)
            return result


def _may_pass(kind: ErrorKind, first_contact: bool) -> bool:
    return kind in (ErrorKind.CONFLICT, ErrorKind.BUSY) or (kind is ErrorKind.OUT_OF_REACH and not first_contact)


def _is_from_connecting(error: Exception) -> bool:
    return getattr(error, "statement", None) is None


def _format_seconds(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
