"""Keeps a number of workers alive, as a cluster does, and lets faults befall them."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.clocks import HOUR, ClockFile
from benchmarks.fault_harness.disk import SmallDisk
from benchmarks.fault_harness.forks import Forks
from benchmarks.fault_harness.journal import read_journals
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.schedule import Fault
from benchmarks.fault_harness.servers import Server

TICK = 0.05
AGAIN_AFTER = 0.5
"""Seconds until a worker that ended before its study did is started again."""

WRONG_BY = (0.0, 7200.0, -86400.0, 31.0)
"""Seconds by which the wall clocks of the workers are wrong, in turn."""

LIFE = 1.0
"""Seconds after which a worker is one that works."""

INTERRUPTED = 130

SPOKEN = range(2, 11)
"""Exit codes of hpo after one sentence that tells a user what to do; see `hpo.errors`."""

ERROR, SENTENCE = "workers that died of an error", "workers that ended with a sentence"


@dataclass
class _Slot:
    process: int | None = None
    life: int = 0
    done: bool = False
    struck: bool = False
    again_at: float = 0.0
    began: float = 0.0


class Crew:
    """Workers in slots; a slot's worker that ends too early is started again under a new name."""

    def __init__(self, orders: Orders, workers: int, server: Server, disk: SmallDisk, logs: Path) -> None:
        self.counts: Counter[str] = Counter()
        """Faults by kind, and how workers ended."""
        self._orders, self._server, self._disk = orders, server, disk
        self._clock = ClockFile(Path(orders.clock_file))
        self._slots = [_Slot() for _ in range(workers)]
        self._thaw: list[tuple[float, int]] = []
        self._lived = False
        self._errands: list[threading.Thread] = []
        self._forks = Forks(logs)

    def run(self, trials: int, faults: list[Fault], limit: float) -> bool:
        """Works with this budget until every worker has ended of itself; false if it took more than `limit` seconds,
        or if each of many workers ended as soon as it began. Faults are timed from the first trial that is begun."""
        self._orders = replace(self._orders, trials=trials)
        for slot in self._slots:
            slot.done, slot.again_at = False, 0.0
        began, first_trial, left = time.monotonic(), math.inf, list(faults)
        while not all(slot.done for slot in self._slots):
            now = time.monotonic()
            if now - began > limit or self._hopeless():
                self._kill_all()
                return False
            if left and first_trial == math.inf:
                first_trial = self._first_trial(began)
            while left and left[0].at <= now - first_trial:
                self._strike(left.pop(0))
            self._thaw_due()
            self._collect()
            self._start_missing()
            time.sleep(TICK)
        for errand in self._errands:
            errand.join()
        return True

    def close(self) -> None:
        """Kills what is left of the workers."""
        self._kill_all()
        self._forks.close()

    def _first_trial(self, since: float) -> float:
        """When the first trial since then was begun; infinity if none was. On a slow machine workers start slowly."""
        journals = read_journals(Path(self._orders.journals))
        begun = (entry.began for entry in journals if entry.event in ("claim", "begin") and entry.began >= since)
        return min(begun, default=math.inf)

    def _hopeless(self) -> bool:
        return not self._lived and self.counts["workers ended"] > 3 * len(self._slots)

    def _start_missing(self) -> None:
        for number, slot in enumerate(self._slots):
            if slot.done or slot.process is not None or time.monotonic() < slot.again_at:
                continue
            slot.life += 1
            worker = f"w{number:02d}-{slot.life}"
            offset = WRONG_BY[number % len(WRONG_BY)]
            orders = replace(self._orders, worker=worker, clock_offset=offset)
            slot.process = self._forks.start(orders)
            slot.struck = False
            slot.began = time.monotonic()
            self.counts["workers started"] += 1

    def _collect(self) -> None:
        ended = self._forks.ended()
        for slot in self._slots:
            if slot.process not in ended:
                continue
            code = ended[slot.process]
            self.counts["workers ended"] += 1
            self._lived |= time.monotonic() - slot.began > LIFE or code == 0
            slot.process, slot.again_at = None, time.monotonic() + AGAIN_AFTER
            if code == 0:
                slot.done = True
            elif not slot.struck and code != INTERRUPTED:
                self.counts[SENTENCE if code in SPOKEN else ERROR] += 1

    def _strike(self, fault: Fault) -> None:
        if fault.kind == "restart":
            self._in_background(lambda: self._server.restart(crash=self.counts["restart"] % 2 == 0))
        elif fault.kind == "full disk":
            self._in_background(lambda: self._fill_for(fault.seconds))
        elif fault.kind == "cut":
            self._server.cut()
        elif fault.kind == "database clock":
            # Forward by an hour, back to where it was, back by an hour, and forward to where it was.
            self._clock.set((HOUR, 0.0, -HOUR, 0.0)[self.counts[fault.kind] % 4])
        elif fault.kind == "relaunch":
            for slot in self._slots:
                self._signal(slot, signal.SIGTERM)
        elif not self._strike_one(fault):
            return
        self.counts[fault.kind] += 1

    def _strike_one(self, fault: Fault) -> bool:
        order = self._slots[fault.slot :] + self._slots[: fault.slot]
        slot = next((slot for slot in order if slot.process is not None), None)
        if slot is None or slot.process is None:
            return False
        if fault.kind == "freeze":
            self._thaw.append((time.monotonic() + fault.seconds, slot.process))
            os.kill(slot.process, signal.SIGSTOP)
        elif fault.kind == "wall clock":
            os.kill(slot.process, (signal.SIGUSR1, signal.SIGUSR2)[self.counts[fault.kind] % 2])
        else:
            self._signal(slot, signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
        return True

    @staticmethod
    def _signal(slot: _Slot, number: signal.Signals) -> None:
        # The nursery has not reaped it yet, or `_collect` would have cleared the slot: the number is still its own.
        if slot.process is not None:
            slot.struck = True
            os.kill(slot.process, number)

    def _thaw_due(self) -> None:
        now, living = time.monotonic(), {slot.process for slot in self._slots}
        for due, process in self._thaw:
            if due <= now and process in living:
                os.kill(process, signal.SIGCONT)
        self._thaw = [(due, process) for due, process in self._thaw if due > now]

    def _fill_for(self, seconds: float) -> None:
        self._disk.fill()
        time.sleep(seconds)
        self._disk.free()

    def _in_background(self, errand: Any) -> None:
        thread = threading.Thread(target=errand)
        thread.start()
        self._errands.append(thread)

    def _kill_all(self) -> None:
        for slot in self._slots:
            self._signal(slot, signal.SIGKILL)
        while any(slot.process is not None for slot in self._slots):
            self._collect()
            time.sleep(TICK)
        for errand in self._errands:
            errand.join()
