"""Signs of life from beside the training loop: the lease is renewed, and what is asked of the worker comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hpo.errors import HpoError
from hpo.search.queue.claiming import renew
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import LeaseLost

BEATS_PER_LEASE = 6


class Heartbeat:
    """Renews a lease from a thread of its own; the training loop calls `beat` and asks `stop` at each step.

    started: when the worker began, on the database's clock. stop: what else may stop the trial. stopped: whether the
    training loop has been told to stop.
    """

    def __init__(self, held: Claim, started: float, stop: Callable[[], bool]) -> None:
        self._held, self._started, self._asked_outside = held, started, stop
        self._share = 0.0
        self.stopped = False
        self._lost = threading.Event()
        self._asked = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def beat(self, share: float) -> None:
        """Notes how far the trial is, 0 to 1. Raises LeaseLost."""
        self._share = share
        if self._lost.is_set():
            raise LeaseLost

    @property
    def asked(self) -> bool:
        """Whether `hpo stop` has asked for the trial to be given back."""
        return self._asked.is_set()

    def stop(self) -> bool:
        """Whether the trial is to be given back now; once true, it stays so."""
        self.stopped = self.stopped or self.asked or self._asked_outside()
        return self.stopped

    def _run(self) -> None:
        while not self._over.wait(self._held.study.lease / BEATS_PER_LEASE):
            try:
                renewal = renew(self._held, self._share, started=self._started)
            except (HpoError, MemoryError):
                # The database may come back before the lease runs out; a write in the loop says so if it does not.
                continue
            if renewal.stop is not None and renewal.stop.at_once:
                self._asked.set()
            if not renewal.held:
                self._lost.set()
                return
