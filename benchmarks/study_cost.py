"""What studies cost, in epochs of single folds, and the best validation AUC that they had found for it.

    python benchmarks/study_cost.py sqlite:///docs/results/stages/breast-by-epochs.sqlite3 [URL ...] [--studies NAME]

Prints a line for each study: trials, how many were trained whole, epochs of single folds and what they are of the cost
without pruning; then, at shares of the cheapest study's cost, the best whole trial of each study by then.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.overview import read_overview
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_trials
from hpo.search.study import open_study

SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Cost:
    """A study.

    Attributes:
        whole_cost: epochs of single folds of a trial that is trained whole.
        trials: those that reported, by the time of their end.
    """

    name: str
    whole_cost: int
    trials: list[TrialRow]

    @property
    def spent(self) -> int:
        """Epochs of single folds of all trials."""
        return sum(map(cost_of, self.trials))

    def best_within(self, budget: float) -> float | None:
        """Return the highest AUC of the whole trials that had ended before so many epochs were spent."""
        spent, best = 0, None
        for trial in self.trials:
            spent += cost_of(trial)
            if spent <= budget and trial.state == "complete" and trial.auc is not None:
                best = max(best or 0.0, trial.auc)
        return best


def cost_of(trial: TrialRow) -> int:
    """Return the epochs of single folds that a trial has trained."""
    return trial.epochs * trial.folds


def read_costs(storage: str, names: Sequence[str]) -> list[Cost]:
    """Read the studies of a database, all of them or those of some names."""
    database = open_database(resolve_address(storage), create=False)
    found = []
    for name in names or [known.name for known in read_overview(database).studies]:
        study = open_study(database, name)
        trials = sorted((trial for trial in read_trials(study) if trial.ended), key=lambda trial: trial.ended or 0.0)
        found.append(Cost(name, study.spec.budget.epochs * study.spec.scoring.fold_count, trials))
    return found


def table(costs: Sequence[Cost]) -> str:
    """Return a Markdown table."""
    budget = min(cost.spent for cost in costs)
    points = [share * budget for share in SHARES]
    lines = [
        "| study | trials | whole | epochs of single folds | of the cost without pruning | "
        + " | ".join(f"best AUC within {point:.0f}" for point in points)
        + " |",
        "|---" * (5 + len(points)) + "|",
    ]
    for cost in costs:
        whole = sum(trial.state == "complete" for trial in cost.trials)
        share = cost.spent / (cost.whole_cost * len(cost.trials))
        best = [cost.best_within(point) for point in points]
        cells = [cost.name, str(len(cost.trials)), str(whole), str(cost.spent), f"{share:.0%}"]
        cells += ["none" if auc is None else f"{auc:.4f}" for auc in best]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storage", nargs="+")
    parser.add_argument("--studies", nargs="*", default=[])
    options = parser.parse_args()
    print(table([cost for storage in options.storage for cost in read_costs(storage, options.studies)]))


if __name__ == "__main__":
    main()
