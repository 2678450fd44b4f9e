"""What the epochs of a study bring: AUC after each of them, and whether it ranks configurations as the last one does.

    python benchmarks/epochs.py STUDY --storage sqlite:///docs/results/methods/studies.sqlite3 [--epochs 5 10 15 20]

Of the whole trials of a study without pruning, such as one of methods or a confirmation; where trials were pruned,
those that are whole were chosen by their first epochs. `lost`: what the best trial by that epoch lacks, after the last
one, to the best trial of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.trials import read_curves
from hpo.search.study import open_study

POINTS = 9


def read_aucs(storage: str, name: str) -> NDArray[np.float64]:
    """Return the AUCs of the whole trials of a study, (trials, epochs)."""
    study = open_study(open_database(resolve_address(storage), create=False), name)
    epochs = study.spec.budget.epochs
    return np.array([[one.auc for one in curve] for curve in read_curves(study).values() if len(curve) == epochs])


def table(aucs: NDArray[np.float64], epochs: Sequence[int]) -> str:
    """Return a Markdown table, a row for each of `epochs`, counted from 1."""
    last = aucs[:, -1]
    lines = [
        "| epochs | mean AUC | less than at the end | rank correlation with the end | lost |",
        "|---:|---:|---:|---:|---:|",
    ]
    for epoch in epochs:
        now = aucs[:, epoch - 1]
        correlation, lost = spearmanr(now, last).statistic, last.max() - last[now.argmax()]
        lines.append(f"| {epoch} | {now.mean():.3f} | {(last - now).mean():.3f} | {correlation:.2f} | {lost:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--epochs", type=int, nargs="+", help=f"default: {POINTS} of them, evenly")
    options = parser.parse_args()
    aucs = read_aucs(options.storage, options.study)
    count = aucs.shape[1]
    print(f"{len(aucs)} whole trials of {options.study}")
    print(table(aucs, options.epochs or np.linspace(count / POINTS, count, POINTS).round().astype(int).tolist()))


if __name__ == "__main__":
    main()
