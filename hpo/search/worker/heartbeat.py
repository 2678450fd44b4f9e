"""Heartbeats from a background thread: they renew the lease and receive stop requests."""

from __future__ import annotations

import threading

from hpo.control import Stop, StopReason
from hpo.errors import HpoError, StorageError
from hpo.search.queue.claiming import renew
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import LeaseLost

BEATS_PER_LEASE = 6


class Heartbeat:
    """Renews a lease from a background thread; the training loop calls `progress` at each step.

    Args:
        held: the claim to renew.
        started: start of the worker, on the database's clock.
        stop: is requested when `hpo stop --now` was called.

    Attributes:
        began: progress after the first step here; None before that.
    """

    def __init__(self, held: Claim, started: float, stop: Stop) -> None:
        self._held, self._started, self._stop = held, started, stop
        self._share = 0.0
        self.began: float | None = None
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        # A worker that has given up on its database does not wait for a heartbeat that has not.
        if kind is None or not issubclass(kind, StorageError):
            self._thread.join()

    @property
    def share(self) -> float:
        """The progress of the trial."""
        return self._share

    def progress(self, share: float) -> None:
        """Set the progress of the trial, 0 to 1, for the next heartbeat.

        Raises:
            LeaseLost: if a heartbeat could not renew the lease.
        """
        self._share = share
        self.began = share if self.began is None else self.began
        if self._lost.is_set():
            raise LeaseLost

    def _run(self) -> None:
        while not self._over.wait(self._held.study.lease / BEATS_PER_LEASE):
            try:
                renewal = renew(self._held, self._share, started=self._started)
            except (HpoError, MemoryError):
                # The database may be back before the lease expires; if not, a write of the training loop will fail.
                continue
            if renewal.stop is not None and renewal.stop.at_once:
                self._stop.request(StopReason.DRAIN_NOW)
            if not renewal.held:
                self._lost.set()
                return
