"""How a long computation is asked to stop, and how it reports progress: one object with one reason, set once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

_POLL_SECONDS = 0.05


class StopReason(StrEnum):
    """Why a worker stops before its study is finished."""

    SIGNAL = "signal"
    """Ctrl-C, SIGTERM or another signal."""
    PARENT = "parent"
    """The process that started the worker is gone."""
    DRAIN = "drain"
    """`hpo stop`: the worker finishes its trial and takes no other."""
    DRAIN_NOW = "drain now"
    """`hpo stop --now`: the worker releases its trial within a step."""
    DEADLINE = "deadline"
    """The job that the worker runs in ends soon."""
    MEMORY = "memory"
    """Memory was refused to this process; the worker should go on as a new one."""


class Stop:
    """A request to stop. The first reason counts; later ones are kept, but change nothing.

    Safe in threads and in signal handlers: a request appends to a list, which is atomic and takes no lock (the
    condition variable of a `threading.Event` can deadlock if the handler interrupts a `wait` of the same thread).
    """

    def __init__(self) -> None:
        self._requests: list[StopReason] = []

    def request(self, reason: StopReason) -> None:
        """Ask whoever polls this object to stop."""
        self._requests.append(reason)

    @property
    def requested(self) -> bool:
        """Whether anybody has asked to stop; once true, it stays so."""
        return bool(self._requests)

    @property
    def reason(self) -> StopReason | None:
        """The first reason, or None."""
        return self._requests[0] if self._requests else None

    def __contains__(self, reason: object) -> bool:
        """Return whether this reason was given, first or later."""
        return reason in self._requests

    def wait(self, seconds: float) -> bool:
        """Sleep for so many seconds, or until a stop is requested; return whether it is."""
        end = time.monotonic() + seconds
        while not self.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
        return self.requested


@dataclass(frozen=True)
class Control:
    """What a training run obeys and reports to, after every step.

    Attributes:
        stop: once requested, the run saves its state and ends without an error.
        progress: called with the share of the run that is done, 0 to 1; what it raises ends the run.
    """

    stop: Stop = field(default_factory=Stop)
    progress: Callable[[float], None] = lambda _share: None


class StopWatch:
    """A thread that requests a stop when a condition comes true: the parent is gone, a deadline has passed.

    Args:
        stop: what the request goes to.
        conditions: reason and condition, polled in this order.
        seconds: between two polls.
    """

    def __init__(
        self, stop: Stop, conditions: dict[StopReason, Callable[[], bool]], seconds: float = 4 * _POLL_SECONDS
    ) -> None:
        self.stop, self._conditions, self._seconds = stop, conditions, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-stop-watch", daemon=True)

    def __enter__(self) -> StopWatch:
        self.poll()
        if self._conditions:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> None:
        """Check every condition now."""
        for reason, holds in self._conditions.items():
            if reason not in self.stop and holds():
                self.stop.request(reason)

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self.poll()
