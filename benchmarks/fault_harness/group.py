"""Some workers of one study that are started together and not again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.fault_harness.forks import Forks
from benchmarks.fault_harness.orders import Orders

STUCK = -1000
"""In place of an exit code: it had not ended when the time was up."""


class Group:
    """Workers by their names."""

    def __init__(self, forks: Forks, orders: Orders, names: Iterable[str]) -> None:
        self._forks = forks
        self._living = {forks.start(replace(orders, worker=name)): name for name in names}
        self.codes: dict[str, int] = {}
        """Exit codes of those that have ended."""

    @property
    def processes(self) -> list[int]:
        """PIDs of the workers that have not ended, as far as is known."""
        return list(self._living)

    def log_of(self, name: str) -> str:
        """What a worker wrote."""
        return self._forks.log_of(name).read_text(errors="replace")

    def look(self) -> bool:
        """Note which workers have ended; return whether all have."""
        for process, code in self._forks.ended().items():
            if process in self._living:
                self.codes[self._living.pop(process)] = code
        return not self._living

    def wait(self, seconds: float) -> dict[str, int]:
        """Wait until all have ended, and return their exit codes; those that take longer are killed, with STUCK."""
        end = time.monotonic() + seconds
        while not self.look() and time.monotonic() < end:
            time.sleep(0.02)
        stuck = list(self._living.items())
        for process, _ in stuck:
            os.kill(process, signal.SIGKILL)
        while not self.look():
            time.sleep(0.02)
        return self.codes | dict.fromkeys((name for _, name in stuck), STUCK)
