"""How well BBC-CV corrects the best of a search, and how often its interval holds the truth, on simulated searches.

    python benchmarks/bbc_cv.py                        # 200 searches of each case
    python benchmarks/bbc_cv.py --positives 40 --negatives 60 --seed-noise 0.3

A search tries 40 configurations on the same 5 folds of 169 positives and 455 negatives, as many as BreastMNIST's
development set has. All configurations are equally good: linear rules on 8 features, of whose variance each
configuration sees 20 % by itself. With seed noise s a trained rule points aside by s times its own length. The truth of
a trained rule is known exactly.

"networks" is the mean truth of the five trained rules of the configuration that was selected: what its networks reach
on other samples. "configuration" is what it reaches when it is trained again, the same for all configurations here.
"holds" are shares of 95 % intervals. "better" is the share in which the selected configuration is called better than a
fixed one that is as good: by paired DeLong over folds, uncorrected, and by the corrected difference. A "fixed pair" was
chosen before, which is what paired DeLong is made for.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.bbc_cv import corrected_selection
from hpo.statistics.delong import difference_of_fixed_networks
from hpo.statistics.intervals import Comparison
from hpo.statistics.network_metrics import NetworkMetrics
from hpo.statistics.out_of_fold import ScoredFold, out_of_fold_aucs

FEATURES, OWN = 8, 0.2
"""Number of features, and the share of their variance that is a configuration's own."""

SIZES = (169, 455)
"""Positives and negatives of BreastMNIST's development set."""


@dataclass(frozen=True)
class Search:
    """A simulated search: its scores, and the true mean AUC of each configuration's trained rules, (C,)."""

    folds: list[ScoredFold]
    truths: NDArray[np.float64]


def simulate(
    random: np.random.Generator,
    seed_noise: float,
    configurations: int = 40,
    sizes: tuple[int, int] = SIZES,
    folds: int = 5,
    auc: float = 0.87,
) -> Search:
    """Train the rules of every configuration on every fold; `auc` is that of the best possible rule."""
    labels = np.repeat(np.array([1, 0], dtype=np.uint8), sizes)
    distance = NormalDist().inv_cdf(auc) * math.sqrt(2 / FEATURES)
    common = random.normal(size=(labels.size, FEATURES))
    own = random.normal(size=(configurations, labels.size, FEATURES))
    tables = math.sqrt(1 - OWN) * common + math.sqrt(OWN) * own + distance * labels[:, None]
    fold_of = np.empty(labels.size, dtype=np.int64)
    for label in (0, 1):
        places = np.flatnonzero(labels == label)
        fold_of[random.permutation(places)] = np.arange(places.size) % folds
    scored, truths = [], np.zeros(configurations)
    for number in range(folds):
        fit, held = fold_of != number, np.flatnonzero(fold_of == number)
        rules = tables[:, fit & (labels == 1)].mean(axis=1) - tables[:, fit & (labels == 0)].mean(axis=1)
        aside = random.normal(size=rules.shape)
        aside *= np.linalg.norm(rules, axis=1, keepdims=True) / np.linalg.norm(aside, axis=1, keepdims=True)
        rules += seed_noise * aside
        scored.append(
            ScoredFold(held, labels[held][:, None], np.einsum("cnf,cf->cn", tables[:, held], rules)[..., None])
        )
        heights = distance * rules.sum(axis=1) / (np.linalg.norm(rules, axis=1) * math.sqrt(2))
        truths += [NormalDist().cdf(height) / folds for height in heights]
    return Search(scored, truths)


def paired(search: Search, one: int, other: int) -> Comparison:
    """Paired DeLong over folds of two configurations."""
    metrics = out_of_fold_aucs([fold.of([one, other]) for fold in search.folds])
    rows = (NetworkMetrics(metrics.values[[row]], metrics.influences[[row]], metrics.binomial_n) for row in range(2))
    return difference_of_fixed_networks(*rows)


def judged(search: Search, resamples: int, seed: int) -> dict[str, float]:
    """Select and correct as a report does; configuration 0 is the fixed one."""
    candidates = range(1, len(search.truths))
    found = corrected_selection(search.folds, candidates, [0], ensemble=5, resamples=resamples, seed=seed)
    naive, versus = paired(search, found.place, 0), found.differences[0]
    fixed, truth_of_fixed = paired(search, 1, 0), search.truths[1] - search.truths[0]
    networks, gain = search.truths[found.place], found.ensemble_gain
    truth_of_difference = networks - search.truths[0]
    assert gain is not None
    return {
        "naive": found.auc.naive,
        "corrected": found.auc.corrected,
        "networks": networks,
        "configuration": float(search.truths.mean()),
        "holds the networks": found.auc.low <= networks <= found.auc.high,
        "holds the configuration": found.auc.low <= search.truths.mean() <= found.auc.high,
        "width": found.auc.high - found.auc.low,
        "better, DeLong": naive.low > 0,
        "better, corrected": versus.low > 0,
        "holds the difference": versus.low <= truth_of_difference <= versus.high,
        "DeLong holds the difference": naive.low <= truth_of_difference <= naive.high,
        "DeLong holds the difference of a fixed pair": fixed.low <= truth_of_fixed <= fixed.high,
        "ensemble gain, naive": gain.naive,
        "ensemble gain, corrected": gain.corrected,
    }


def over_searches(
    seed_noise: float,
    simulations: int,
    seed: int = 0,
    resamples: int = 300,
    configurations: int = 40,
    sizes: tuple[int, int] = SIZES,
) -> dict[str, tuple[float, float]]:
    """Mean over simulated searches of each figure, with its standard error."""
    random = np.random.default_rng(seed)
    found = [
        judged(simulate(random, seed_noise, configurations, sizes), resamples, number) for number in range(simulations)
    ]
    for one in found:
        one["optimism, true"] = one["naive"] - one["networks"]
        one["optimism, stated"] = one["naive"] - one["corrected"]
        one["optimism, trained again"] = one["naive"] - one["configuration"]
    values = {name: np.array([one[name] for one in found], dtype=np.float64) for name in found[0]}
    return {name: (float(of.mean()), float(of.std(ddof=1) / math.sqrt(simulations))) for name, of in values.items()}


def main() -> None:
    """Parses, simulates, prints a table, and with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed-noise", type=float, nargs="+", default=[0.0, 0.3, 1.0])
    parser.add_argument("--configurations", type=int, default=40)
    parser.add_argument("--positives", type=int, default=SIZES[0])
    parser.add_argument("--negatives", type=int, default=SIZES[1])
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started, figures = time.perf_counter(), {}
    for noise in given.seed_noise:
        sizes = (given.positives, given.negatives)
        figures[noise] = over_searches(
            noise, given.simulations, given.seed, given.resamples, given.configurations, sizes
        )
    print("| seed noise |", " | ".join(f"{noise:g}" for noise in given.seed_noise), "|")
    print("|---" * (len(given.seed_noise) + 1) + "|")
    for name in figures[given.seed_noise[0]]:
        cells = (f"{figures[noise][name][0]:.4f} ± {figures[noise][name][1]:.4f}" for noise in given.seed_noise)
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{given.simulations} searches of each case, {time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
