"""Launches that supervise their workers through outages, cut connections, kills and interrupts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fault_harness import invariants
from benchmarks.fault_harness.campaign import STUDY, Plan, first_orders, surroundings
from benchmarks.fault_harness.journal import read_journals
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.parents import Parent, environment
from benchmarks.fault_harness.servers import Server
from hpo.errors import StorageError
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import read_workers, request_stop
from hpo.search.study import Study
from hpo.study.files import load_spec

INTERRUPTED = 130
PATIENT, IMPATIENT = 300.0, 4.0
"""Seconds for which workers wait for the database: as they do, and fewer than an outage lasts."""

CUT_EVERY, KILL_EVERY, AWAY_EVERY = 3.0, 4.0, 14.0
MOST_KILLS = 6
"""Fewer than make a launch give a worker up, whichever they hit."""

STUDY_FILE = """dataset = "breast"
[search]
sampler = "random"
first_rung = 2
reduction = 3
[budget]
trials = {trials}
epochs = {epochs}
[space.learning_rate]
low = 1e-4
high = 0.3
log = true
"""

INVARIANTS = (
    "ends after its workers",
    "ends with the code that is documented",
    "no traceback",
    "`hpo status --watch` outlives it",
)


@dataclass
class _Scene:
    plan: Plan
    server: Server
    folder: Path
    orders: Orders
    study: Study
    counts: Counter[str]
    broken: dict[str, list[str]]

    def check(self, invariant: str, true: object, tell: object) -> None:
        """Note what broke."""
        if not true:
            self.broken[invariant].append(str(tell))

    def parent(self, word: str, patience: float = PATIENT) -> Parent:
        """A launch; returns when at least one of its workers holds a trial."""
        home = self.folder / word
        home.mkdir()
        log = self.folder / "logs" / f"launch-{word}.log"
        parent = Parent(home, self.folder / "study.toml", self.orders, self.plan.workers, patience, log)
        self.counts["launches"] += 1
        end = time.monotonic() + self.plan.limit
        while parent.process.poll() is None and not self._works_for(parent) and time.monotonic() < end:
            time.sleep(0.1)
        return parent

    def _works_for(self, parent: Parent) -> bool:
        mine = f"-{parent.process.pid}-"
        return any(worker.trial is not None and mine in worker.name for worker in read_workers(self.study))

    def ended(self, parent: Parent, word: str, code: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait for the end of a launch and check it."""
        found, living = parent.wait(self.plan.limit, meanwhile)
        tell = f"{word}: {found}, {living} workers living, {parent.last_line()}"
        self.check("ends with the code that is documented", found == code, tell)
        self.check("ends after its workers", not living, tell)
        self.check("no traceback", not parent.traceback(), f"{word}: {parent.traceback()}")
        parent.kill()

    def away(self, seconds: float) -> threading.Thread:
        """An outage in the background."""
        self.counts["outages"] += 1
        outage = threading.Thread(target=self.server.go_away, args=(seconds,))
        outage.start()
        return outage


def run(plan: Plan, keep: Path | None = None, *, last_only: bool = False) -> dict[str, Any]:
    """Launch one study again and again, each time with another end; the last one finishes it.

    last_only: leave the others out.
    """
    began, counts = time.monotonic(), Counter[str]()
    found: dict[str, list[str]] = {name: [] for name in INVARIANTS}
    with surroundings(plan, keep and keep / "parents") as (server, disk, folder):
        address = server.address("parents")
        study_file = folder / "study.toml"
        study_file.write_text(STUDY_FILE.format(trials=plan.trials, epochs=plan.epochs))
        orders = first_orders("hpo", plan, address, folder, disk.folder / "checkpoints")
        database = open_database(resolve_address(address), create=True)
        scene = _Scene(
            plan, server, folder, orders, create_or_open(database, STUDY, load_spec(study_file)), counts, found
        )
        for act in () if last_only else (_interrupted, _asked_to_stop, _killed, _away_for_too_long):
            act(scene)
        _finished(scene)
        kept = invariants.broken(invariants.read_facts(address, STUDY), read_journals(folder / "journals"), plan.trials)
        database.close()
    phase = {
        "seconds": round(time.monotonic() - began, 1),
        "hung": any(": None," in case for case in found["ends with the code that is documented"]),
        "broken": found | kept,
    }
    return {"system": "hpo", "backend": plan.backend, "counts": dict(counts), "phases": {"launches": phase}}


def _interrupted(scene: _Scene) -> None:
    """Ctrl-C while the database is away."""
    parent = scene.parent("interrupted")
    outage = scene.away(scene.plan.lease)
    time.sleep(0.3)
    parent.process.send_signal(signal.SIGINT)
    scene.counts["Ctrl-C"] += 1
    scene.ended(parent, "Ctrl-C", INTERRUPTED)
    outage.join()


def _asked_to_stop(scene: _Scene) -> None:
    parent = scene.parent("stopped")
    request_stop(scene.study, at_once=True)
    scene.counts["hpo stop --now"] += 1
    scene.ended(parent, "hpo stop --now", INTERRUPTED)


def _killed(scene: _Scene) -> None:
    """The workers of a launch that was killed end by themselves."""
    parent = scene.parent("killed")
    parent.process.kill()
    parent.process.wait()
    scene.counts["launches killed"] += 1
    scene.check("no traceback", parent.orphans_end(60.0), "workers outlive their parent")
    scene.check("no traceback", not parent.traceback(), parent.traceback())


def _away_for_too_long(scene: _Scene) -> None:
    """An outage that is longer than the patience of the workers; not on SQLite, where there is only a lock."""
    if not scene.server.cuttable:
        return
    parent = scene.parent("too-long", IMPATIENT)
    outage = scene.away(5 * IMPATIENT)
    scene.ended(parent, "outage longer than the workers wait", StorageError.exit_code)
    outage.join()


def _finished(scene: _Scene) -> None:
    """Outages longer than a lease, cut connections and killed workers; the study is finished all the same."""
    parent = scene.parent("finished")
    command = [sys.executable, "-m", "hpo", "status", STUDY, "--watch", "--storage", scene.orders.address]
    with (scene.folder / "logs" / "watch.log").open("wb") as log:
        watching = subprocess.Popen(command, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    strike = _Strikes(scene, parent)
    scene.ended(parent, "finished", 0, strike)
    strike.join()
    try:
        code: int | None = watching.wait(60)
    except subprocess.TimeoutExpired:
        code = None
        watching.kill()
    scene.check("`hpo status --watch` outlives it", code == 0, code)


class _Strikes:
    """Faults while a launch runs, one after another."""

    def __init__(self, scene: _Scene, parent: Parent) -> None:
        self._scene, self._parent, self._chance = scene, parent, random.Random(scene.plan.seed)
        now = time.monotonic()
        self._end = now + scene.plan.seconds
        self._due = {"cut": now, "kill": now + 1.0, "away": now + 5.0}
        self._outage: threading.Thread | None = None

    def __call__(self) -> None:
        now, counts = time.monotonic(), self._scene.counts
        if now > self._end:
            return
        if now > self._due["kill"] and counts["workers killed"] < MOST_KILLS and (living := self._parent.workers()):
            self._due["kill"] = now + KILL_EVERY
            self._chance.choice(living).kill()
            counts["workers killed"] += 1
        if self._outage is not None and self._outage.is_alive():
            return
        if now > self._due["away"]:
            self._due["away"] = now + AWAY_EVERY
            self._outage = self._scene.away(1.6 * self._scene.plan.lease)
        elif now > self._due["cut"] and self._scene.server.cuttable:
            self._due["cut"] = now + CUT_EVERY
            self._scene.server.cut()
            counts["cut"] += 1

    def join(self) -> None:
        """Wait for the end of an outage."""
        if self._outage is not None:
            self._outage.join()
