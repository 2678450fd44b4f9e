"""Faults upon workers, and what they break: hpo, and stock Optuna under the same faults.

    python benchmarks/faults.py [--backend sqlite|postgresql|mysql ...] [--seconds S] [--trials N] [--workers N]
                                [--seed N] [--system hpo stock] [--keep FOLDER] [--out FILE]

Real worker processes with a stand-in for training; kill -9, SIGTERM, SIGSTOP for longer than a lease, restarts and
crashes of the database (a private PostgreSQL), wrong clocks, a full disk (a tmpfs, where one may be mounted) and
relaunches of all workers. Then the finished study is launched again, then its budget is raised under more faults. Each
worker writes down what the database told it was accepted; afterwards the database is held against these journals.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.campaign import Plan, run
from benchmarks.fault_harness.crew import ERROR, SENTENCE

FIGURES = (
    "accepted writes held against the database",
    "trials taken up from another worker",
    "checkpoints left behind",
)


def broken_count(result: dict[str, Any]) -> int:
    """How many things broke an invariant, in all phases."""
    phases = result["phases"].values()
    hung = sum(int(phase["hung"]) for phase in phases)
    return hung + sum(len(cases) for phase in phases for cases in phase["broken"].values())


def table(results: list[dict[str, Any]]) -> str:
    """Faults, ends of workers and broken invariants, a column for each system on each database."""
    heads = [f"{result['system']} {result['backend']}" for result in results]
    lines = [f"{'':58}" + "".join(f"{head:>18}" for head in heads)]

    def row(name: str, values: list[Any]) -> None:
        lines.append(f"{name:58}" + "".join(f"{'-' if value is None else value:>18}" for value in values))

    for kind in dict.fromkeys(kind for result in results for kind in result["kinds"]):
        row(f"{kind} (faults)", [result["counts"].get(kind, 0) for result in results])
    for name in ("workers started", ERROR, SENTENCE):
        row(name, [result["counts"].get(name, 0) for result in results])
    for name in FIGURES:
        row(name, [result[name] for result in results])
    for phase in results[0]["phases"]:
        lines.append(f"{phase}:")
        phases = [result["phases"][phase] for result in results]
        row("  seconds", [found["seconds"] for found in phases])
        row("  hung", [int(found["hung"]) for found in phases])
        if "relaunched" in phase:
            row("  trials begun in a finished study", [p["finished trials that were begun again"] for p in phases])
        for name in dict.fromkeys(name for found in phases for name in found["broken"]):
            row(f"  broken: {name}", [_count(found["broken"].get(name)) for found in phases])
    return "\n".join(lines)


def _count(cases: list[str] | None) -> str | int | None:
    if cases is None:
        return None
    return (
        cases[0].split(" finished")[0] + " of " + cases[0].split()[-1] if cases and "budget" in cases[0] else len(cases)
    )


def main() -> None:
    """Parses, runs, prints a table, writes JSON; exit code 1 if an invariant of hpo was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--backend", nargs="+", choices=("sqlite", "postgresql", "mysql"), default=["sqlite", "postgresql"]
    )
    parser.add_argument("--system", nargs="+", choices=("hpo", "stock"), default=["hpo", "stock"])
    parser.add_argument("--mysql", help="address of a database on a MySQL that runs; it is not restarted")
    for name in ("seconds", "lease", "limit"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan, name))
    for name in ("trials", "workers", "seed", "more"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan, name))
    parser.add_argument("--keep", type=Path, help="a folder for the workers' logs and journals")
    parser.add_argument("--out", type=Path, help="a file for the results as JSON")
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in ("seconds", "lease", "limit", "trials", "workers", "seed", "more")}
    plan = Plan(given.backend[0], mysql=given.mysql, **sizes)
    # What was started and mounted is to be cleared away also after SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = []
    for backend in given.backend:
        for system in given.system:
            print(f"{system} on {backend} ...", file=sys.stderr, flush=True)
            results.append(run(system, replace(plan, backend=backend), given.keep))
    print(table(results))
    for result in results:
        for phase, found in result["phases"].items():
            for name, cases in found["broken"].items():
                if cases:
                    print(f"{result['system']} {result['backend']}, {phase}, broken: {name}: {'; '.join(cases[:5])}")
    if given.out:
        given.out.write_text(json.dumps({"plan": sizes, "results": results}, indent=2) + "\n")
    sys.exit(any(broken_count(result) for result in results if result["system"] == "hpo"))


if __name__ == "__main__":
    main()
