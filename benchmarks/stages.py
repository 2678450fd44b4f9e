"""What it brings to train a trial's folds one after another: pruning over folds and epochs, on stored learning curves.

    python benchmarks/stages.py docs/results/breast/study.sqlite3

The whole trials of the database's studies are a table in which to search: in random order, a few at a time as by
parallel workers, with the product's own pruner, until a budget is spent. What counts as the true AUC of a choice is the
mean of the other trials of the same configuration, in a confirmation; where there are none, its own AUC over all folds,
so that only what pruning loses is counted. Searches of all kinds have the same orders and budgets.
"""

from __future__ import annotations

import argparse
import heapq
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.overview import read_overview
from hpo.search.queries.trials import read_curves, read_records
from hpo.search.strategy.pruner import Reached, Rung, make_pruner
from hpo.search.study import open_study
from hpo.study.spec import Budget, RungSpec, Scoring, Search, StudySpec
from hpo.study.stages import Stage

CHANCE = 0.5
WORKERS = 4


@dataclass(frozen=True)
class Curves:
    """A configuration of the table.

    Attributes:
        seen: AUC by epoch, then fold, on the folds that a search trains.
        truth: what counts as its true AUC.
    """

    seen: list[list[float]]
    truth: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--searches", type=int, default=4000)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="budgets, of the table's cost")
    options = parser.parse_args()
    print(compare(read_curves_of(options.database), options.searches, options.shares))


def read_curves_of(path: Path) -> list[Curves]:
    """Return the whole trials of all studies of a database, those of more than one fold."""
    with tempfile.TemporaryDirectory() as folder:
        # Opening an older database brings its tables up to date.
        copied = shutil.copy(path, Path(folder) / "study.sqlite3")
        database = open_database(resolve_address(f"sqlite:///{copied}"), create=False)
        found: dict[str, list[list[list[float]]]] = {}
        for study in (open_study(database, known.name) for known in read_overview(database).studies):
            ends, curves = study.spec.budget.epochs, read_curves(study)
            for number, record in read_records(study).items():
                curve = curves.get(number, [])
                if len(curve) == ends and study.spec.scoring.fold_count > 1:
                    key = json.dumps([ends, study.spec.scoring.fold_count, record.config], sort_keys=True)
                    found.setdefault(key, []).append([list(report.fold_aucs) for report in curve])
    table = []
    for curves_of_one in found.values():
        finals = [float(np.mean(curve[-1])) for curve in curves_of_one]
        for place, seen in enumerate(curves_of_one):
            others = finals[:place] + finals[place + 1 :]
            table.append(Curves(seen, float(np.mean(others or finals))))
    return table


def kinds(folds: int, epochs: int) -> dict[str, StudySpec]:
    """Return a study for each kind of pruning."""
    scoring, budget, first = Scoring(folds=folds), Budget(epochs=epochs), max(1, epochs // 9)
    whole_first_fold = [RungSpec(folds=1, epochs=epochs), RungSpec(folds=2, epochs=epochs)]
    searches = {
        "all folds together (the default)": Search(first_rung=first, rungs="epochs"),
        "one fold, two, half, all": Search(first_rung=first, rungs="folds"),
        "one fold to its last epoch, two, all": Search(first_rung=first, rungs=tuple(whole_first_fold)),
        "no pruning": Search(first_rung=first, pruner="none"),
    }
    return {
        name: StudySpec(dataset="breast", scoring=scoring, search=search, budget=budget)
        for name, search in searches.items()
    }


def search(spec: StudySpec, table: Sequence[Curves], order: Sequence[int], budget: int) -> tuple[float | None, int]:
    """Search in a table until the budget is spent; return the truth of the choice, and the number of trials.

    Trials that are not pruned when the budget ends are trained on.

    Args:
        order: indices of the configurations, as they are tried.
        budget: in epochs of single folds.
    """
    pruner = make_pruner(spec)
    stages = pruner.stages()
    reached: list[list[Reached]] = [[] for _ in stages]
    queue: list[tuple[int, int, int]] = []
    todo = iter(order)
    spent = trials = 0
    chosen: tuple[float, int] | None = None

    def begin(index: int, place: int, now: int) -> None:
        before = stages[place - 1] if place else Stage(0, 0)
        heapq.heappush(queue, (now + _cost(before, stages[place]), index, place))

    def start(now: int) -> None:
        nonlocal trials
        if (index := next(todo, None)) is not None:
            trials += 1
            begin(index, 0, now)

    for _ in range(WORKERS):
        start(0)
    while queue:
        now, index, place = heapq.heappop(queue)
        stage = stages[place]
        spent += _cost(stages[place - 1] if place else Stage(0, 0), stage)
        own = Reached(index, tuple(table[index].seen[stage.epochs - 1][: stage.folds]))
        if place == len(stages) - 1:
            chosen = max(chosen or (0.0, -1), (own.auc, index))
        else:
            reached[place].append(own)
            better = sum(other.auc > own.auc for other in reached[place])
            ranked = tuple(sorted(reached[place], key=lambda other: -other.auc))
            rung = Rung(stage.epochs, own.auc, better, len(ranked), stage.folds, index, lambda found=ranked: found)
            if pruner.goes_on(rung):
                begin(index, place + 1, now)
                continue
        if spent < budget:
            start(now)
    return (None if chosen is None else table[chosen[1]].truth), trials


def _cost(before: Stage, stage: Stage) -> int:
    return stage.folds * stage.epochs - before.folds * before.epochs


def compare(table: Sequence[Curves], searches: int, shares: Sequence[float]) -> str:
    """Return a Markdown table of regret and number of trials by kind and budget; spread over orders."""
    epochs, folds = len(table[0].seen), len(table[0].seen[0])
    best = max(curves.truth for curves in table)
    random = np.random.default_rng(0)
    orders = [random.permutation(len(table)).tolist() for _ in range(searches)]
    told = [
        f"{len(table)} trials of {folds} folds and {epochs} epochs; {searches} orders; regret in thousandths of AUC "
        "(difference to the default in the same order, sd over orders), trials",
        "",
        "| kind | " + " | ".join(f"{share:.0%} of the table's cost" for share in shares) + " |",
        "|---" * (1 + len(shares)) + "|",
    ]
    budgets = [round(share * len(table) * folds * epochs) for share in shares]
    found = {
        name: [[search(spec, table, order, budget) for order in orders] for budget in budgets]
        for name, spec in kinds(folds, epochs).items()
    }
    regrets = {name: [_regret(runs, best) for runs in by_budget] for name, by_budget in found.items()}
    reference = next(iter(regrets.values()))
    for name, by_budget in regrets.items():
        cells = []
        for regret, other, runs in zip(by_budget, reference, found[name], strict=True):
            gap = regret - other
            counts = np.mean([count for _, count in runs])
            cells.append(f"{regret.mean():.1f} ({gap.mean():+.1f}, sd {gap.std():.1f}), {counts:.0f}")
        told.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(told)


def _regret(runs: Sequence[tuple[float | None, int]], best: float) -> Any:
    return np.array([1000 * (best - (CHANCE if truth is None else truth)) for truth, _ in runs])


if __name__ == "__main__":
    main()
