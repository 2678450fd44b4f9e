"""Faults upon workers, and what they break: hpo, and stock Optuna under the same faults.

    python benchmarks/faults.py [--campaign workers|parents|studies|clocks ...] [--backend sqlite|postgresql|mysql ...]
                                [--mysql ADDRESS] [--seconds S] [--trials N] [--workers N] [--lease S] [--seed N]
                                [--system hpo stock] [--keep FOLDER] [--out FILE]
    python benchmarks/faults.py --outage 125 [--trials N] [--out FILE]

workers: real worker processes with a stand-in for training; kill -9, SIGTERM, SIGSTOP for longer than a lease, restarts
and crashes of the database (a private PostgreSQL), connections that are cut, clocks that are wrong and that are set, a
full disk (a tmpfs, where one may be mounted) and relaunches of all workers. Then the finished study is launched again,
then its budget is raised under more faults. Each worker writes down what the database told it was accepted; afterwards
the database is held against these journals. For hpo and stock Optuna; the others are for hpo alone.

parents: real `hpo launch` over such workers; outages longer than a lease, connections that are cut, killed workers,
Ctrl-C, `hpo stop`, a killed launch. studies: studies are deleted, renamed and annotated, by function and through the
dashboard, while workers hold their trials. clocks: what it costs to set a clock, without any other fault.

--outage: one real launch, which trains on the digits, through an outage of its server that lasts so long.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.fault_harness import campaign, clock_campaign, outage, parent_campaign, study_campaign
from benchmarks.fault_harness.campaign import Plan
from benchmarks.fault_harness.schedule import EVERY_SECONDS
from hpo.revision import code_version

FIGURES = (
    "accepted writes held against the database",
    "trials taken up from another worker",
    "checkpoints left behind",
)

HPO_ONLY: dict[str, Callable[[Plan, Path | None], dict[str, Any]]] = {
    "parents": parent_campaign.run,
    "studies": study_campaign.run,
    "clocks": clock_campaign.run,
}


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

    for name in _names(result.get("counts", {}) for result in results):
        row(name, [result["counts"].get(name, 0) if _meets(result, name) else None for result in results])
    for name in FIGURES:
        if any(name in result for result in results):
            row(name, [result[name] for result in results])
    for phase in results[0]["phases"]:
        lines.append(f"{phase}:")
        phases = [result["phases"][phase] for result in results]
        for name in _names(phases):
            if name != "broken":
                values = [found.get(name) for found in phases]
                row(f"  {name}", [int(value) if isinstance(value, bool) else value for value in values])
        for name in _names(found["broken"] for found in phases):
            row(f"  broken: {name}", [_count(found["broken"].get(name)) for found in phases])
    return "\n".join(lines)


def _names(tables: Any) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))


def _meets(result: dict[str, Any], name: str) -> bool:
    """Whether something that is counted can happen to a system."""
    return name not in EVERY_SECONDS or name in result.get("kinds", EVERY_SECONDS)


def _count(cases: list[str] | None) -> str | int | None:
    if cases is None:
        return None
    return (
        cases[0].split(" finished")[0] + " of " + cases[0].split()[-1] if cases and "budget" in cases[0] else len(cases)
    )


def main() -> None:
    """Parses, runs, prints a table, writes JSON; exit code 1 if an invariant of hpo was broken."""
    given = _arguments()
    # What was started and mounted is to be cleared away also after SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    written: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/faults.py", *sys.argv[1:]]),
        "commit": code_version()[0],
        "hardware": _hardware(),
    }
    if given.outage is not None:
        print(f"a launch through an outage of {given.outage:.0f} s ...", file=sys.stderr, flush=True)
        written["outage"] = outage.run(given.outage, given.trials)
        print(json.dumps(written["outage"], indent=2))
        is_broken = bool(written["outage"]["broken"])
    else:
        written |= {"plan": {name: getattr(given, name) for name in _SIZES}, "campaigns": _campaigns(given)}
        results = [result for of_one in written["campaigns"].values() for result in of_one]
        is_broken = any(broken_count(result) for result in results if result["system"] == "hpo")
    if given.out:
        given.out.write_text(json.dumps(written, indent=2) + "\n")
    sys.exit(is_broken)


_SIZES = ("seconds", "lease", "limit", "epoch_seconds", "trials", "workers", "seed", "more")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaign", nargs="+", choices=("workers", *HPO_ONLY), default=["workers"])
    parser.add_argument(
        "--outage", type=float, metavar="SECONDS", help="one real launch through an outage; no campaign"
    )
    parser.add_argument(
        "--backend", nargs="+", choices=("sqlite", "postgresql", "mysql"), default=["sqlite", "postgresql"]
    )
    parser.add_argument("--system", nargs="+", choices=("hpo", "stock"), default=["hpo", "stock"])
    parser.add_argument("--mysql", help="address of a database on a MySQL that runs; it is not restarted")
    for name in _SIZES:
        usual = getattr(Plan, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(usual), default=usual)
    parser.add_argument("--keep", type=Path, help="a folder for the workers' logs and journals")
    parser.add_argument("--out", type=Path, help="a file for the results as JSON")
    return parser.parse_args()


def _campaigns(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    plan = Plan(given.backend[0], mysql=given.mysql, **{name: getattr(given, name) for name in _SIZES})
    found: dict[str, list[dict[str, Any]]] = {}
    for name in given.campaign:
        found[name] = []
        for backend in given.backend:
            for system in given.system if name == "workers" else ["hpo"]:
                print(f"{name}: {system} on {backend} ...", file=sys.stderr, flush=True)
                here = replace(plan, backend=backend)
                result = (
                    HPO_ONLY[name](here, given.keep) if name in HPO_ONLY else campaign.run(system, here, given.keep)
                )
                found[name].append(result)
        print(f"{name}:\n{table(found[name])}")
        for result in found[name]:
            _tell(result)
    return found


def _tell(result: dict[str, Any]) -> None:
    for phase, found in result["phases"].items():
        for name, cases in found["broken"].items():
            if cases:
                print(f"{result['system']} {result['backend']}, {phase}, broken: {name}: {'; '.join(cases[:5])}")


def _hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{len(os.sched_getaffinity(0))} cores of {model}; load average at the start {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
