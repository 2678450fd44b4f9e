"""A clock for code that takes the time from a module `time`."""

from __future__ import annotations


class Clock:
    """Stands in for the module `time`; time passes only where a test lets it."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    perf_counter = time = monotonic

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
