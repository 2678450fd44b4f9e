"""How often a 95 % interval holds the true value, on simulated scores of 22 positives and 76 negatives.

    python benchmarks/coverage.py                          # 2000 simulations of each case, four minutes
    python benchmarks/coverage.py --simulations 10000 --aucs 0.8 0.9 0.95 0.98

Scores are normal. A sample has a part that all networks see alike (70 % of the variance) and one for each network;
the networks of a configuration differ in how far they move the positives, so that their AUCs scatter by about .02.
Of two configurations compared, the second has an AUC lower by .03. For cross-validation a linear rule is trained on 78
and scored on 20 of 98 samples, with two sets of features that are equally good, so that the true difference is 0;
for an ablation on a third of the samples, with 18 of them.

"error" is what a coverage itself is uncertain by; "misses below" the share of intervals that lie below the truth.
Methods marked x answer another question (fixed networks, or fixed samples) and are shown for the difference. Those
marked * decide: the longer of two intervals, as reports show and verdicts use it; `benchmarks/deciding.py` simulates
these at the sizes of the test sets.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hpo.outcome.judgement import less_sure
from hpo.statistics.bootstrap import bootstrap_difference, bootstrap_interval
from hpo.statistics.corrected_t_test import corrected_difference
from hpo.statistics.delong import delong_interval, delong_test, difference_of_fixed_networks, mean_of_fixed_networks
from hpo.statistics.intervals import Comparison, Estimate
from hpo.statistics.moderated_variance import fit_variance_prior
from hpo.statistics.network_metrics import NetworkMetrics, network_aucs
from hpo.statistics.obuchowski_rockette import (
    difference_over_seeds_and_samples,
    mean_over_seeds_and_samples,
    mean_over_seeds_fixed_samples,
)
from hpo.statistics.t_intervals import t_comparison

Labels = NDArray[np.int64]

LABELS: Labels = np.repeat([1, 0], [22, 76])
DRAWS = 600
SHARED = 0.7
TRAINING_SPREAD = 0.15
LOWER_BY = 0.03
REPEATS, FOLDS, FEATURES = 5, 5, 8

Answers = dict[str, Estimate | Comparison]
Case = Callable[[np.random.Generator], Answers]


@dataclass
class Count:
    """How the intervals of one method fell."""

    method: str
    truth: float
    simulations: int = 0
    below: int = 0
    above: int = 0
    width: float = 0.0

    def add(self, answer: Estimate | Comparison) -> None:
        """Counts one interval."""
        self.simulations += 1
        self.below += answer.high < self.truth
        self.above += answer.low > self.truth
        self.width += answer.high - answer.low

    @property
    def coverage(self) -> float:
        """Share of the intervals that held the truth."""
        return 1 - (self.below + self.above) / self.simulations

    @property
    def error(self) -> float:
        """Standard error of a coverage of 95 % from so many simulations."""
        return math.sqrt(0.95 * 0.05 / self.simulations)


def shift(auc: float, spread: float = 0.0) -> float:
    """How far positives are moved, in standard deviations of a score, for this mean AUC over networks.

    Networks whose shift is N(d, spread^2) have the mean AUC Phi(d / sqrt(2 + spread^2)).
    """
    return NormalDist().inv_cdf(auc) * math.sqrt(2 + spread**2)


def scores(
    random: np.random.Generator,
    common: NDArray[np.float64],
    auc: float,
    networks: int,
    spread: float,
    labels: Labels = LABELS,
) -> NDArray[np.float64]:
    """Scores of the networks of one configuration, (networks, samples); all share the part `common`, (samples,)."""
    shifts = shift(auc, spread) + spread * random.normal(size=(networks, 1))
    own = random.normal(size=(networks, labels.size))
    return math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * own + shifts * labels


def one_network(auc: float, *, is_expanded: bool = True) -> Case:
    """Intervals of the AUC of one network; the bootstrap's expanded ones are half of the work."""

    def answers(random: np.random.Generator) -> Answers:
        network = scores(random, random.normal(size=LABELS.size), auc, 1, 0.0)[0]
        seed = int(random.integers(2**31))
        found: Answers = {
            "DeLong, plain": delong_interval(network, LABELS, scale="plain"),
            "DeLong, logit": delong_interval(network, LABELS),
            "bootstrap, BCa": bootstrap_interval(network, LABELS, DRAWS, seed),
        }
        if is_expanded:
            found["bootstrap, expanded"] = bootstrap_interval(network, LABELS, DRAWS, seed, method="expanded")
        return found

    return answers


def two_networks(auc: float) -> Case:
    """Intervals of the difference of two networks, the second worse."""

    def answers(random: np.random.Generator) -> Answers:
        common, seed = random.normal(size=LABELS.size), int(random.integers(2**31))
        one, other = (scores(random, common, value, 1, 0.0)[0] for value in (auc, auc - LOWER_BY))
        return {
            "DeLong, paired": delong_test(one, other, LABELS),
            "bootstrap, paired, expanded": bootstrap_difference(one, other, LABELS, DRAWS, seed),
        }

    return answers


def several_seeds(auc: float, networks: int) -> Case:
    """Intervals of the mean AUC of a configuration over seeds and samples."""

    def answers(random: np.random.Generator) -> Answers:
        common = random.normal(size=LABELS.size)
        metrics = network_aucs(scores(random, common, auc, networks, TRAINING_SPREAD), LABELS)
        return {
            "* longer of two": less_sure(mean_over_seeds_and_samples(metrics), mean_of_fixed_networks(metrics)),
            "seeds and samples, logit": mean_over_seeds_and_samples(metrics),
            "seeds and samples, plain": mean_over_seeds_and_samples(metrics, scale="plain"),
            "x samples only": mean_of_fixed_networks(metrics),
            "x seeds only": mean_over_seeds_fixed_samples(metrics.values),
        }

    return answers


def two_configurations(auc: float, networks: int) -> Case:
    """Intervals of the difference of two configurations over seeds and samples, the second worse."""

    def answers(random: np.random.Generator) -> Answers:
        common = random.normal(size=LABELS.size)
        one, other = (
            network_aucs(scores(random, common, value, networks, TRAINING_SPREAD), LABELS)
            for value in (auc, auc - LOWER_BY)
        )
        return {
            "* longer of two": decisive(one, other),
            "seeds and samples": difference_over_seeds_and_samples(one, other),
            "seeds and samples, matched": difference_over_seeds_and_samples(one, other, matched=True),
            "x samples only": difference_of_fixed_networks(one, other),
        }

    return answers


def decisive(one: NetworkMetrics, other: NetworkMetrics, confidence: float = 0.95) -> Comparison:
    """Compare two configurations as a verdict on the test set does."""
    over_all = difference_over_seeds_and_samples(one, other, confidence)
    return less_sure(over_all, difference_of_fixed_networks(one, other, confidence))


def cross_validation(auc: float) -> Case:
    """Intervals of the difference of two equally good rules, over repeated cross-validation."""
    distance = shift(auc) / math.sqrt(FEATURES)

    def answers(random: np.random.Generator) -> Answers:
        samples = random.normal(size=(2, LABELS.size, FEATURES)) + distance * LABELS[:, None]
        one, other = cross_validated(samples, REPEATS, FOLDS, random)
        differences = one - other
        count = differences.size
        plain = float(differences.std(ddof=1) / math.sqrt(count))
        return {
            "corrected resampled t": corrected_difference(differences),
            "x plain t over folds": t_comparison(float(differences.mean()), plain, 0.95, count - 1),
        }

    return answers


def many_configurations(auc: float, repeats: int, folds: int, configurations: int = 18) -> Case:
    """Intervals of the difference of one rule and another, both of many that are equally good, in few folds.

    A quarter of the rules each sees its features with a part of 5, 20, 50 and 100 % of its own, so that their
    differences scatter unequally.
    """
    distance = shift(auc) / math.sqrt(FEATURES)
    own = np.array([(0.05, 0.2, 0.5, 1.0)[number % 4] for number in range(configurations)])[:, None, None]

    def answers(random: np.random.Generator) -> Answers:
        common = random.normal(size=(LABELS.size, FEATURES))
        apart = random.normal(size=(configurations, LABELS.size, FEATURES))
        samples = np.sqrt(1 - own) * common + np.sqrt(own) * apart + distance * LABELS[:, None]
        values = cross_validated(samples, repeats, folds, random)
        prior = fit_variance_prior(list(values))
        one = int(random.integers(1, configurations))
        return {
            "corrected resampled t": corrected_difference(values[one] - values[0]),
            "corrected resampled t, moderated": corrected_difference(values[one] - values[0], prior=prior),
        }

    return answers


def cross_validated(
    samples: NDArray[np.float64], repeats: int, folds: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """AUC, (C, R, k), of a linear rule for each table of features, (C, samples, FEATURES), on the same folds."""
    of_class = [np.flatnonzero(label == LABELS) for label in (0, 1)]
    fold = np.empty((repeats, LABELS.size), dtype=np.int64)
    for row in fold:
        for places in of_class:
            row[random.permutation(places)] = np.arange(places.size) % folds
    held = (fold[:, None] == np.arange(folds)[:, None]).reshape(-1, LABELS.size)
    low, high = (samples[:, places] for places in of_class)
    held_low, held_high = (held[:, places] for places in of_class)
    rules = _means(high, ~held_high) - _means(low, ~held_low)
    # Scores are continuous, so that no two are tied.
    right = np.matmul(high, rules)[:, :, None] > np.matmul(low, rules)[:, None]
    pairs = held_high.T[:, None] & held_low.T
    return np.asarray((right & pairs).sum((1, 2)) / pairs.sum((0, 1))).reshape(-1, repeats, folds)


def _means(table: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean features of the chosen samples of each split, (C, FEATURES, splits)."""
    return np.matmul(table.transpose(0, 2, 1), chosen.T / chosen.sum(1))


def cases(auc: float) -> Iterator[tuple[str, float, Case]]:
    """Name, truth and simulation of every case at this AUC."""
    yield "one network", auc, one_network(auc)
    yield "two networks", LOWER_BY, two_networks(auc)
    for networks in (2, 3, 5, 10):
        yield f"{networks} seeds", auc, several_seeds(auc, networks)
    for networks in (2, 3, 5, 10):
        yield f"2 x {networks} seeds", LOWER_BY, two_configurations(auc, networks)
    yield f"{REPEATS} x {FOLDS} folds", 0.0, cross_validation(auc)
    for repeats in (1, 2):
        yield f"{repeats} x 3 folds, 18 configurations", 0.0, many_configurations(auc, repeats, 3)


def covered(case: Case, truth: float, simulations: int, seed: int) -> list[Count]:
    """How the intervals of each method of a case fell in so many simulations."""
    random = np.random.default_rng(seed)
    counts: dict[str, Count] = {}
    for _ in range(simulations):
        for method, answer in case(random).items():
            counts.setdefault(method, Count(method, truth)).add(answer)
    return list(counts.values())


def main() -> None:
    """Parses, simulates, prints a table, and with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--aucs", type=float, nargs="+", default=[0.8, 0.9, 0.98])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started, figures = time.perf_counter(), []
    print("| AUC | case | method | coverage | error | misses below | misses above | mean width |")
    print("|---|---|---|---|---|---|---|---|")
    for auc in given.aucs:
        for name, truth, case in cases(auc):
            for count in covered(case, truth, given.simulations, given.seed):
                print(_line(auc, name, count), flush=True)
                figures.append({"auc": auc, "case": name, "coverage": count.coverage} | vars(count))
    print(f"\n{given.simulations} simulations of each case, {time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps(figures, indent=2))


def _line(auc: float, name: str, count: Count) -> str:
    shares = (count.below / count.simulations, count.above / count.simulations)
    width = count.width / count.simulations
    told = f"{count.coverage:.3f} | {count.error:.3f} | {shares[0]:.3f} | {shares[1]:.3f} | {width:.3f}"
    return f"| {auc} | {name} | {count.method} | {told} |"


if __name__ == "__main__":
    main()
