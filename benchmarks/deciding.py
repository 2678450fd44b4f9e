"""How often the intervals hold the true value that verdicts on the test set rest on, at the sizes of the test sets.

    python -m benchmarks.deciding                               # 500 simulations of each case, four minutes
    python -m benchmarks.deciding --sets breast --networks 5 10 --simulations 2000

Scores as in `benchmarks/coverage.py`. What decides is the longer of two intervals: over seeds and samples, and over
samples alone. Cases: the mean AUC of a configuration; its difference to one that is lower by .03, and to an equal one;
a winner against two equal baselines, where both intervals have to hold the truth; the accuracy of a configuration.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.coverage import (
    LABELS,
    LOWER_BY,
    TRAINING_SPREAD,
    Answers,
    Case,
    Labels,
    covered,
    decisive,
    scores,
    shift,
)
from hpo.outcome.judgement import less_sure
from hpo.statistics.delong import mean_of_fixed_networks
from hpo.statistics.intervals import simultaneous_confidence
from hpo.statistics.network_metrics import NetworkMetrics, network_accuracies, network_aucs
from hpo.statistics.obuchowski_rockette import mean_over_seeds_and_samples

TESTS = {
    "breast": (114, 42),
    "pneumonia": (390, 234),
    "adrenal3d": (69, 229),
    "nodule3d": (64, 246),
    "vessel3d": (43, 339),
    "synapse3d": (257, 95),
}
"""Positives and negatives of test sets; of the last three about, by the share that is published."""


def deciding(auc: float, networks: int, labels: Labels) -> Iterator[tuple[str, float, Case]]:
    """Name, truth and simulation of every interval on the test set that decides, or is shown as if it did."""

    def metrics(random: np.random.Generator, *aucs: float) -> list[NetworkMetrics]:
        common = random.normal(size=labels.size)
        return [network_aucs(scores(random, common, one, networks, TRAINING_SPREAD, labels), labels) for one in aucs]

    def mean(random: np.random.Generator) -> Answers:
        (one,) = metrics(random, auc)
        return {"* longer of two": less_sure(mean_over_seeds_and_samples(one), mean_of_fixed_networks(one))}

    def difference(lower_by: float) -> Case:
        return lambda random: {"* longer of two": decisive(*metrics(random, auc, auc - lower_by))}

    def two_baselines(random: np.random.Generator) -> Answers:
        winner, *others = metrics(random, auc, auc, auc)
        found = [decisive(winner, other, simultaneous_confidence(2)) for other in others]
        return {"* longer of two, Sidak": max(found, key=lambda one: abs(one.difference) / (one.high - one.low))}

    # Positives lie `d` higher; the threshold is in the middle.
    d = shift(auc, TRAINING_SPREAD)
    right = NormalDist().cdf(d / 2), NormalDist().cdf(d / 2 / math.sqrt(1 + TRAINING_SPREAD**2))
    truth = float(right[0] * (1 - labels.mean()) + right[1] * labels.mean())

    def accuracy(random: np.random.Generator) -> Answers:
        values = scores(random, random.normal(size=labels.size), auc, networks, TRAINING_SPREAD, labels)
        one = network_accuracies(((values >= d / 2) == (labels == 1)).astype(float))
        return {"* longer of two": less_sure(mean_over_seeds_and_samples(one), mean_of_fixed_networks(one))}

    yield f"{networks} seeds", auc, mean
    yield f"2 x {networks} seeds, lower by {LOWER_BY}", LOWER_BY, difference(LOWER_BY)
    yield f"2 x {networks} seeds, equal", 0.0, difference(0.0)
    yield f"{networks} seeds, against two baselines", 0.0, two_baselines
    yield f"accuracy, {networks} seeds", truth, accuracy


def _summary(figures: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a row for each test set and number of networks, with the coverage of each case at each AUC."""
    aucs = list(dict.fromkeys(figure["auc"] for figure in figures))
    named = {(figure["samples"], figure["auc"], figure["case"]): figure for figure in figures}
    yield f"\nCoverage at {' / '.join(map(str, aucs))}, and the width of a difference of 0 at {aucs[0]}:\n"
    yield "| test set | networks | mean | lower by 0.03 | equal | two baselines | accuracy | width |"
    yield "|---|---|---|---|---|---|---|---|"
    for size in dict.fromkeys(figure["samples"] for figure in figures):
        for networks in dict.fromkeys(int(figure["case"].split()[0]) for figure in figures if "two" in figure["case"]):
            names = [name for name, *_ in deciding(0.9, networks, LABELS)]
            cells = (" / ".join(f"{named[size, auc, name]['coverage']:.3f}" for auc in aucs) for name in names)
            equal = named[size, aucs[0], names[2]]
            width = equal["width"] / equal["simulations"]
            yield f"| {size} | {networks} | {' | '.join(cells)} | {width:.3f} |"


def main() -> None:
    """Parse, simulate, print a table, and with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--aucs", type=float, nargs="+", default=[0.9, 0.95, 0.98])
    parser.add_argument("--sets", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--networks", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started = time.perf_counter()
    figures: list[dict[str, Any]] = []
    for name in given.sets:
        labels = np.repeat([1, 0], TESTS[name])
        for auc in given.aucs:
            for networks in given.networks:
                for case, truth, simulation in deciding(auc, networks, labels):
                    (count,) = covered(simulation, truth, given.simulations, given.seed)
                    figures.append(
                        {"samples": name, "auc": auc, "case": case, "coverage": count.coverage} | vars(count)
                    )
    print("\n".join(_summary(figures)))
    print(f"\n{given.simulations} simulations of each case, {time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
