"""One system on one kind of database through all phases: faults, a relaunch of the finished study, a larger budget."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from benchmarks.fault_harness import invariants, stock_invariants
from benchmarks.fault_harness.crew import ERROR, SENTENCE, Crew
from benchmarks.fault_harness.disk import SmallDisk
from benchmarks.fault_harness.journal import Entry, read_journals
from benchmarks.fault_harness.orders import Orders, System
from benchmarks.fault_harness.schedule import Kind, draw
from benchmarks.fault_harness.servers import Server, open_server
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import Budget, Search, StudySpec

STUDY = "faults"
PHASES = ("under faults", "relaunched when finished", "budget raised, under faults")

WRITES = ("report", "finish", "renew", "release")


@dataclass(frozen=True)
class Plan:
    """How large and how rough. seconds: for how long faults strike in a phase; limit: after which a phase has hung."""

    backend: str
    workers: int = 16
    trials: int = 200
    more: int = 40
    epochs: int = 10
    epoch_seconds: float = 0.08
    lease: float = 2.5
    seconds: float = 45.0
    limit: float = 240.0
    seed: int = 0
    kinds: tuple[Kind, ...] = get_args(Kind)
    mysql: str | None = None


def run(system: System, plan: Plan, keep: Path | None = None) -> dict[str, Any]:
    """Runs all phases; returns counts of faults, of how workers ended, and what broke which invariant in which phase.

    keep: a folder that gets the workers' logs and journals.
    """
    with surroundings(plan, keep and keep / system) as (server, disk, folder):
        return _phases(system, plan, server, disk, folder)


@contextmanager
def surroundings(plan: Plan, keep: Path | None = None) -> Iterator[tuple[Server, SmallDisk, Path]]:
    """A server, a disk, and a folder with `journals` and `logs`; cleared away afterwards."""
    with tempfile.TemporaryDirectory(prefix="hpo-faults-") as temporary:
        folder = Path(temporary)
        # A server that runs as another user has to reach its own folder.
        folder.chmod(0o711)
        for name in ("journals", "logs", "server"):
            (folder / name).mkdir()
        disk = SmallDisk(folder / "disk")
        try:
            on_disk = plan.backend == "sqlite"
            server = open_server(plan.backend, disk.folder if on_disk else folder / "server", plan.mysql)
            try:
                yield server, disk, folder
            finally:
                server.close()
                if keep is not None:
                    for name in ("journals", "logs"):
                        shutil.copytree(folder / name, keep / plan.backend / name, dirs_exist_ok=True)
        finally:
            disk.close()


def _phases(system: System, plan: Plan, server: Server, disk: SmallDisk, folder: Path) -> dict[str, Any]:
    address = server.address(system)
    make_study(system, address, plan)
    orders = first_orders(system, plan, address, folder, checkpoints := disk.folder / "checkpoints")
    possible: dict[Kind, bool] = {
        "restart": server.restartable,
        "full disk": disk.fillable,
        "cut": server.cuttable,
        # Optuna asks for the time by statements of its own.
        "database clock": system == "hpo",
    }
    kinds = tuple(kind for kind in plan.kinds if possible.get(kind, True))
    crew = Crew(orders, plan.workers, server, disk, folder / "logs")
    found: dict[str, Any] = {"system": system, "backend": plan.backend, "kinds": kinds, "phases": {}}
    began = time.monotonic()
    try:
        for phase, trials in zip(PHASES, (plan.trials, plan.trials, plan.trials + plan.more), strict=True):
            if trials != plan.trials:
                make_study(system, address, replace(plan, trials=trials))
            faults = draw(plan.seed + trials, plan.seconds, plan.workers, plan.lease, kinds)
            start = time.monotonic()
            ended = crew.run(trials, faults if "faults" in phase else [], plan.limit)
            journal = read_journals(folder / "journals")
            found["phases"][phase] = {
                "seconds": round(time.monotonic() - start, 1),
                "hung": not ended,
                "broken": _broken(system, address, journal, trials, plan.lease),
                "finished trials that were begun again": _again(journal, start) if "relaunched" in phase else None,
            }
    finally:
        crew.close()
    left = [path.name for path in checkpoints.iterdir()]
    journal = read_journals(folder / "journals")
    taken_up = sum(entry.event == "claim" and entry.fields["fence"] > 1 for entry in journal)
    return {
        **found,
        "seconds": round(time.monotonic() - began, 1),
        "counts": {**dict.fromkeys((*kinds, ERROR, SENTENCE), 0), **crew.counts},
        "checkpoints left behind": len(left),
        "accepted writes held against the database": sum(entry.event in WRITES for entry in journal),
        "trials taken up from another worker": taken_up if system == "hpo" else None,
    }


def first_orders(system: System, plan: Plan, address: str, folder: Path, checkpoints: Path) -> Orders:
    """Orders to the workers of a study; each gets a name of its own."""
    checkpoints.mkdir(exist_ok=True)
    return Orders(
        system, address, STUDY, "", str(folder / "journals"), str(checkpoints),
        plan.trials, plan.epochs, plan.epoch_seconds, plan.lease, clock_file=str(folder / "clock"),
    )  # fmt: skip


def make_study(system: System, address: str, plan: Plan) -> None:
    """Makes the study, or gives it another budget."""
    if system == "stock":
        import optuna

        from benchmarks.fault_harness.stock_worker import open_storage

        storage = open_storage(address, plan.lease, create=True)
        optuna.create_study(study_name=STUDY, storage=storage, direction="maximize", load_if_exists=True)
        storage.engine.dispose()
        return
    database = open_database(resolve_address(address), create=True)
    create_or_open(database, STUDY, make_spec(plan))
    database.close()


def make_spec(plan: Plan) -> StudySpec:
    """The spec of a study whose trials are stand-ins."""
    return StudySpec(
        dataset="breast",
        search=Search(sampler="random", first_rung=2, reduction=3),
        budget=Budget(trials=plan.trials, epochs=plan.epochs),
        space={
            "learning_rate": FloatRange(low=1e-4, high=0.3, log=True),
            "batch_size": Choices(choices=(32, 64, 128)),
        },
    )


def _broken(system: System, address: str, journal: list[Entry], budget: int, lease: float) -> dict[str, list[str]]:
    if system == "stock":
        return stock_invariants.broken(address, STUDY, journal, budget, lease)
    return invariants.broken(invariants.read_facts(address, STUDY), journal, budget)


def _again(journal: list[Entry], since: float) -> int:
    return sum(entry.event in ("claim", "begin") and entry.began >= since for entry in journal)
