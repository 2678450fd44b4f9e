"""Measure the cost of a training over all attempts: wall time, memory, and energy if the device has a counter."""

from __future__ import annotations

import time
from collections.abc import Callable

from hpo.study.record import ResourceUsage


class UsageMeter:
    """Cost counted from creation, added to that of earlier attempts."""

    def __init__(
        self,
        before: ResourceUsage,
        energy: Callable[[], float | None],
        peak_memory: Callable[[], int | None],
    ) -> None:
        """Start counting.

        Args:
            before: the cost of earlier attempts.
            energy: joules so far, on any scale; None if the device has no counter.
            peak_memory: bytes of device memory at most in use in this attempt; None if the device has no such number.
        """
        self._before, self._energy, self._peak_memory = before, energy, peak_memory
        self._began, self._first_energy = time.monotonic(), energy()

    def read(self) -> ResourceUsage:
        """Return the cost so far.

        Call it about once an epoch: a CPU's energy counter wraps around after some minutes.
        """
        energy, peak = self._energy(), self._peak_memory()
        joules = None if energy is None or self._first_energy is None else energy - self._first_energy
        before = self._before
        return ResourceUsage(
            seconds=(before.seconds or 0.0) + time.monotonic() - self._began,
            energy_joules=before.energy_joules if joules is None else (before.energy_joules or 0.0) + joules,
            peak_memory=max(filter(None, (before.peak_memory, peak)), default=None),
        )
