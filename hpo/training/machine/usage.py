"""What a training costs over all its attempts: wall time, memory, and energy where the device has a counter."""

from __future__ import annotations

import time
from collections.abc import Callable

from hpo.study.record import ResourceUsage


class UsageMeter:
    """Counts from when it is made, on top of what earlier attempts at the same training cost."""

    def __init__(
        self,
        before: ResourceUsage,
        energy: Callable[[], float | None],
        peak_memory: Callable[[], int | None],
    ) -> None:
        """Begin to count.

        Args:
            before: the cost of earlier attempts.
            energy: joules so far, on any scale; None if the device has no counter.
            peak_memory: bytes of device memory at most in use in this attempt; None if the device has no such number.
        """
        self._before, self._energy, self._peak_memory = before, energy, peak_memory
        self._began, self._first_energy = time.monotonic(), energy()

    def read(self) -> ResourceUsage:
        """Return the cost until now.

        Call it once an epoch or so: a processor's counter of energy starts over after some minutes.
        """
        energy, peak = self._energy(), self._peak_memory()
        joules = None if energy is None or self._first_energy is None else energy - self._first_energy
        before = self._before
        return ResourceUsage(
            seconds=(before.seconds or 0.0) + time.monotonic() - self._began,
            energy_joules=before.energy_joules if joules is None else (before.energy_joules or 0.0) + joules,
            peak_memory=max(filter(None, (before.peak_memory, peak)), default=None),
        )
