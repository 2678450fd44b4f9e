"""What the database and Optuna cost a trial: hpo, and stock Optuna beside it in the same run.

    python benchmarks/service.py [--quick] [--backend sqlite postgresql] [--workers 1 8 64] [--finished 100 1000 5000]
                                 [--seconds S] [--out FILE]

Claim, ask and suggest of ten settings, report with its prune decision, and tell, at full speed with nothing trained
between; a worker's first trial in a study with many finished; round trips of a trial on PostgreSQL; what the service
costs beside epochs of 10 s; `hpo --help`. Stock Optuna has the same sampler, and its successive halving; with one
worker also its median pruner. `--quick` takes a minute, the whole about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.cost.cells import STEPS, Cell, in_a_child, measure
from benchmarks.cost.filling import fill
from benchmarks.cost.question import EPOCHS
from benchmarks.cost.systems import Name
from benchmarks.cost.wire import round_trips
from benchmarks.fault_harness.servers import PrivatePostgres, Server, SqliteFiles

EPOCH_SECONDS = 10.0
GROUPS = ("claim and suggest", "report", "tell")


def help_seconds(rounds: int = 7) -> float:
    """Median wall seconds of `hpo --help`."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hpo", "--help"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def copied(server: Server, address: str, name: str) -> str:
    """A copy of a filled database."""
    if server.kind == "sqlite":
        copy = server.address(name)
        shutil.copy(address.removeprefix("sqlite:///"), copy.removeprefix("sqlite:///"))
        return copy
    url = sa.make_url(address)
    admin = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{url.database}"')
    return url.set(database=name).render_as_string(hide_password=False)


def measure_backend(server: Server, given: argparse.Namespace) -> dict[str, Any]:
    """All cells on one server, and on PostgreSQL the round trips."""
    rows: list[dict[str, Any]] = []
    found: dict[str, Any] = {"cells": rows}
    for finished in given.finished:
        filled = server.address(f"filled{finished}")
        in_a_child(functools.partial(fill, filled, finished))
        for workers in given.workers:
            median: tuple[Name, ...] = ("stock median",) if workers == 1 and not given.quick else ()
            for system in ("hpo", "stock", *median):
                address = copied(server, filled, f"cell{len(rows)}")
                figures = in_a_child(functools.partial(measure, Cell(system, address, workers, given.seconds)))
                rows.append({"finished": finished, "workers": workers, "system": system, **figures})
                print(line(server.kind, rows[-1]), flush=True)
    if server.kind == "postgresql":
        address = server.address("wire")
        in_a_child(functools.partial(fill, address, 100))
        found["round_trips_per_trial"] = in_a_child(functools.partial(round_trips, address))
    return found


def line(backend: str, row: dict[str, Any]) -> str:
    """A cell as a line of the table."""
    text = f"{backend:10} {row['finished']:5} {row['workers']:3} {row['system']:12}"
    for group in GROUPS:
        figures = row["steps"][group]
        text += f" {figures['per_second']:8.1f} {figures['p50_ms']:8.1f} {figures['p95_ms']:8.1f} |"
    return f"{text} {row['first_trial_seconds']:6.2f}"


def heading() -> str:
    """What stands above the lines."""
    groups = "".join(f" {group + ': per s, p50, p95 ms':>26} |" for group in GROUPS)
    return f"{'database':10} {'done':>5} {'wrk':>3} {'system':12}{groups} first trial s"


def verdicts(backend: str, found: dict[str, Any]) -> list[str]:
    """The targets, each with what was measured."""
    cells = {(row["finished"], row["workers"], row["system"]): row for row in found["cells"]}
    said = []
    for (finished, workers, system), row in cells.items():
        stock = cells.get((finished, workers, "stock"))
        if system != "hpo" or stock is None:
            continue
        where = f"{backend}, {finished} finished, {workers} workers"
        for group, most in (("report", 0.5), ("claim and suggest", 1.0)):
            for figure in ("p50_ms", "p95_ms"):
                share = row["steps"][group][figure] / stock["steps"][group][figure]
                met = "met" if share <= most else "MISSED"
                said.append(f"{met:6} {where}: {group} {figure} is {share:.2f} of stock's, target {most:g}")
    for row in cells.values():
        if row["system"] == "hpo" and row["finished"] >= 5000 and row["workers"] == 1:
            seconds = row["first_trial_seconds"]
            met = "met" if seconds < 3 else "MISSED"
            said.append(f"{met:6} {backend}: first trial at {row['finished']} finished after {seconds:.2f} s, target 3")
    if trips := found.get("round_trips_per_trial"):
        met = "met" if trips["hpo"] <= 150 else "MISSED"
        said.append(f"{met:6} round trips per trial {trips}, target 150")
    return said


def growth(found: dict[str, Any]) -> dict[str, float]:
    """p50 of each step of hpo with one worker at the most finished trials, over that at the fewest."""
    rows = [row for row in found["cells"] if row["system"] == "hpo" and row["workers"] == min(_workers(found))]
    first, last = rows[0]["steps"], rows[-1]["steps"]
    return {step: round(last[step]["p50_ms"] / first[step]["p50_ms"], 2) for step in STEPS}


def _workers(found: dict[str, Any]) -> list[int]:
    return [row["workers"] for row in found["cells"]]


def share_of_epochs(found: dict[str, Any]) -> float:
    """Percent that hpo adds to a trial of EPOCHS epochs of 10 s, one worker, fewest finished."""
    steps = next(row["steps"] for row in found["cells"] if row["system"] == "hpo")
    once = sum(steps[step]["p50_ms"] for step in ("claim", "suggest", "tell"))
    percent: float = 100 * (once + EPOCHS * steps["report"]["p50_ms"]) / 1000 / (EPOCHS * EPOCH_SECONDS)
    return percent


def main() -> None:
    """Parses, measures, prints a table and verdicts, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="1 and 4 workers, 100 and 1000 finished, 0.7 s a cell, no median"
    )
    parser.add_argument("--backend", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--finished", nargs="+", type=int, default=[100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=5.0, help="for how long each cell begins trials")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.quick:
        given.workers, given.finished, given.seconds = [1, 4], [100, 1000], 0.7
    began = time.perf_counter()
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "load": os.getloadavg()[0]}
    print(f"{machine['cores']} cores, load {machine['load']:.1f} at the start; workers are processes on them")
    print(heading())
    results: dict[str, Any] = {"machine": machine, "backends": {}}
    for backend in given.backend:
        with tempfile.TemporaryDirectory(prefix="hpo-service-") as folder:
            Path(folder).chmod(0o711)
            place = Path(folder) / "server"
            place.mkdir()
            server: Server = SqliteFiles(place) if backend == "sqlite" else PrivatePostgres(place)
            try:
                found = measure_backend(server, given)
            finally:
                server.close()
        found |= {"growth": growth(found), "share_of_10_s_epochs_percent": share_of_epochs(found)}
        results["backends"][backend] = found
    results["help_seconds"] = help_seconds()
    results["seconds"] = time.perf_counter() - began
    for backend, found in results["backends"].items():
        print("\n".join(verdicts(backend, found)))
        print(f"{backend}: growth of p50 with the finished trials {found['growth']}", end="; ")
        print(f"{found['share_of_10_s_epochs_percent']:.2f} % of epochs of 10 s")
    print(f"hpo --help {results['help_seconds']:.2f} s; all this took {results['seconds']:.0f} s")
    if given.out:
        given.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
