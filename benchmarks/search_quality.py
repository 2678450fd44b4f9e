"""Compare hpo's search with other optimizers on small networks: regret of the configuration that each finds.

    python benchmarks/search_quality.py run --seeds 20 --out runs.jsonl     (adds to the file; what is there is kept)
    python benchmarks/search_quality.py report runs.jsonl --figure regret.png

All methods search the same space on the same data with the same budget, epochs over single folds, by eight simulated
workers. SMAC3 and Syne Tune take part where they are installed: pip install -e '.[search-benchmark]'.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from benchmarks.search_tasks.evaluation import SHARES, draw_regret, evaluate, table  # noqa: E402
from benchmarks.search_tasks.methods import METHODS  # noqa: E402
from benchmarks.search_tasks.rivals import RIVALS  # noqa: E402
from benchmarks.search_tasks.simulation import simulate  # noqa: E402
from benchmarks.search_tasks.tasks import FOLDS, TASKS, make_task, true_aucs  # noqa: E402

DEALS = 10
"""Number of deals of the samples over which the true AUC of a configuration is a mean."""


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="search, and write a line for each method, task and seed")
    run.add_argument("--methods", nargs="+", choices=[*METHODS, *RIVALS], default=[*METHODS, *RIVALS])
    run.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    run.add_argument("--seeds", type=int, default=20)
    run.add_argument("--first-seed", type=int, default=0)
    run.add_argument("--budget", type=int, default=900, help="in epochs over all folds of a trial")
    run.add_argument("--processes", type=int, default=2)
    run.add_argument("--out", type=Path, required=True)
    report = commands.add_parser("report", help="print the table")
    report.add_argument("runs", type=Path)
    report.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.command == "run":
        _run(options)
    else:
        runs = list(_read(options.runs))
        print(table(evaluate(runs), reference="hpo"))
        if options.figure is not None:
            draw_regret(evaluate(runs), options.figure)


def _run(options: argparse.Namespace) -> None:
    done = {(run["method"], run["task"], run["seed"], run["budget"]) for run in _read(options.out)}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [
        (method, task, seed, options.budget) for seed in seeds for task in options.tasks for method in options.methods
    ]
    jobs = [job for job in jobs if job not in done]
    start = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool, options.out.open("a") as file:
        for number, run in enumerate(pool.map(search_once, *zip(*jobs, strict=True)), start=1) if jobs else ():
            file.write(json.dumps(run) + "\n")
            file.flush()
            left = (time.monotonic() - start) / number * (len(jobs) - number) / 60
            print(
                f"{number} of {len(jobs)}: {run['method']}, {run['task']}, seed {run['seed']}; {left:.0f} min left",
                flush=True,
            )


def search_once(name: str, task_name: str, seed: int, budget: int) -> dict[str, Any]:
    """Search once; return what was found, with the true AUC of the incumbent at each share of the budget.

    Args:
        budget: in epochs over all folds.
    """
    task, start = make_task(task_name, seed), time.process_time()
    method = {**METHODS, **RIVALS}[name](seed)
    found = simulate(task, method, budget * FOLDS, seed)
    seconds = time.process_time() - start
    truths: dict[int, list[float]] = {}

    def true(trial: int | None) -> list[float] | None:
        if trial is None:
            return None
        if trial not in truths:
            truths[trial] = true_aucs(task_name, found.trials[trial], DEALS).tolist()
        return truths[trial]

    return {
        "method": name,
        "task": task_name,
        "seed": seed,
        "budget": budget,
        "trials": len(found.trials),
        "whole": len(found.whole),
        "spent": found.spent,
        "seconds": seconds,
        "incumbents": {str(share): true(_incumbent(found.incumbents, share * budget * FOLDS)) for share in SHARES},
        # At the end, whatever was spent: trials in progress are trained to their end.
        "chosen": true(found.chosen),
    }


def _incumbent(incumbents: list[tuple[int, int]], spent: float) -> int | None:
    before = [trial for cost, trial in incumbents if cost <= spent]
    return before[-1] if before else None


def _read(path: Path) -> Iterator[dict[str, Any]]:
    lines: Iterable[str] = path.read_text().splitlines() if path.exists() else ()
    for line in lines:
        yield json.loads(line)


if __name__ == "__main__":
    main()
