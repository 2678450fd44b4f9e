"""What setting a clock costs, without any other fault: leases, and epochs that are trained again."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fault_harness import invariants
from benchmarks.fault_harness.campaign import STUDY, Plan, first_orders, make_study, surroundings
from benchmarks.fault_harness.clocks import HOUR, ClockFile
from benchmarks.fault_harness.forks import Forks
from benchmarks.fault_harness.group import Group
from benchmarks.fault_harness.journal import Entry, read_journals
from benchmarks.fault_harness.servers import Server

WAYS = {
    "wall clock of a worker, by an hour": (0.3, None),
    "clock of the database, forward by an hour": (2.0, HOUR),
    "clock of the database, back by an hour": (2.0, -HOUR),
}
"""What is set: how often in leases, and by how many seconds for the clock of the database."""


def run(plan: Plan, keep: Path | None = None) -> dict[str, Any]:
    """Run a study for each way; return what it cost, and what it broke."""
    found: dict[str, Any] = {"system": "hpo", "backend": plan.backend, "phases": {}}
    for way, (leases, step) in WAYS.items():
        with surroundings(plan, keep and keep / "clocks" / way.replace(" ", "-")) as (server, disk, folder):
            found["phases"][way] = _phase(plan, server, folder, disk.folder / "checkpoints", leases * plan.lease, step)
    return found


def _phase(
    plan: Plan, server: Server, folder: Path, checkpoints: Path, every: float, step: float | None
) -> dict[str, Any]:
    address = server.address("clocks")
    make_study("hpo", address, plan)
    forks = Forks(folder / "logs")
    began = time.monotonic()
    try:
        orders = first_orders("hpo", plan, address, folder, checkpoints)
        group = Group(forks, orders, [f"w{number}" for number in range(plan.workers)])
        set_clock = _wall_clocks(group) if step is None else _database_clock(ClockFile(folder / "clock"), step)
        steps, due = 0, time.monotonic() + every
        while not group.look() and time.monotonic() < began + plan.limit:
            if time.monotonic() >= due:
                set_clock()
                steps, due = steps + 1, due + every
            time.sleep(0.02)
        codes = group.wait(1.0)
    finally:
        forks.close()
    journal = read_journals(folder / "journals")
    broken = invariants.broken(invariants.read_facts(address, STUDY), journal, plan.trials)
    broken["every worker ends with 0"] = [f"{name}: {code}" for name, code in codes.items() if code]
    return {
        "seconds": round(time.monotonic() - began, 1),
        "hung": bool(any(codes.values())),
        "times a clock was set": steps,
        "trials": plan.trials,
        "epochs reported": sum(entry.event == "report" for entry in journal),
        "trials taken from a live worker": sum(_fence(entry) > 1 for entry in journal if entry.event == "claim"),
        "epochs trained again": _again(journal),
        "broken": broken,
    }


def _wall_clocks(group: Group) -> Callable[[], None]:
    turns = itertools.count()

    def step() -> None:
        for process in group.processes:
            os.kill(process, (signal.SIGUSR1, signal.SIGUSR2)[(next(turns) // 3) % 2])

    return step


def _database_clock(clock: ClockFile, seconds: float) -> Callable[[], None]:
    turns = itertools.count(1)
    return lambda: clock.set(next(turns) * seconds)


def _again(journal: list[Entry]) -> int:
    reports = Counter((entry.fields["trial"], entry.fields["epoch"]) for entry in journal if entry.event == "report")
    return sum(times - 1 for times in reports.values())


def _fence(entry: Entry) -> int:
    return int(entry.fields["fence"])
