"""Running a transaction again: after a deadlock, while a server restarts, or when it has fallen silent."""

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
"""How long a worker tries to reach a database that does not answer."""

READING_SECONDS = 15.0
"""The same for commands that only read: somebody waits in front of them."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two tries; each is twice the last, by a factor of 0.5 to 1.5, so that workers do not come in step."""

_QUIET_SECONDS = 3.0
"""How long nothing is said of what many workers at once do to each other."""

_STATES = {
    ErrorKind.OUT_OF_REACH: "the database does not answer",
    ErrorKind.BUSY: "the database has no connection or no lock free, or starts up",
    ErrorKind.CONFLICT: "other transactions keep coming in the way",
}

T = TypeVar("T")

_log = logging.getLogger(__name__)

_running = threading.local()


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try again. outage: seconds; address: of the database, for the log.

    opening: the server has not answered yet, so that one that refuses, or has no such host, is taken for a wrong
    address and not for an outage. ended: called when a server that was out of reach has answered.
    """

    outage: float
    address: str = "the database"
    opening: bool = False
    ended: Callable[[], None] = lambda: None


def retry(work: Callable[[], T], policy: RetryPolicy) -> T:
    """The result of `work`, which is run again as long as its error may pass; it must bear being run twice.

    A COMMIT whose answer was lost may have been carried out, so `work` finds its own rows then. A call inside another
    is run once: only the outer one can begin its transaction anew.
    Raises the last error when the time is over, any other error at once.
    """
    if getattr(_running, "here", False):
        return work()
    _running.here = True
    try:
        return _repeat(work, policy)
    finally:
        _running.here = False


def _repeat(work: Callable[[], T], policy: RetryPolicy) -> T:
    pause, logged, begun, was_away = _FIRST_PAUSE, False, 0.0, False
    while True:
        try:
            result = work()
        except Exception as error:
            kind, now = kind_of(error), time.monotonic()
            if not _may_pass(kind, policy):
                raise
            begun, was_away = begun or now, was_away or kind is ErrorKind.OUT_OF_REACH
            if now >= begun + policy.outage:
                raise
            if not logged and (kind is ErrorKind.OUT_OF_REACH or now > begun + _QUIET_SECONDS):
                logged = True
                _log.warning("%s: %s; retrying for %s", policy.address, _STATES[kind], _spelled(policy.outage))
            time.sleep(min(pause * random.uniform(0.5, 1.5), begun + policy.outage - now))
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if was_away:
                policy.ended()
            if logged:
                _log.warning("%s: the database answers again", policy.address)
            return result


def _may_pass(kind: ErrorKind, policy: RetryPolicy) -> bool:
    return kind in (ErrorKind.CONFLICT, ErrorKind.BUSY) or (kind is ErrorKind.OUT_OF_REACH and not policy.opening)


def _spelled(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
