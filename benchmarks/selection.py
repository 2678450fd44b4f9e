"""How often the winner of a search is called better than an equal baseline, and how often if it is better indeed.

    python benchmarks/selection.py                              # BreastMNIST's size, 400 runs of each case: 4 minutes
    python benchmarks/selection.py --data pneumonia adrenal3d --runs 100
    python benchmarks/selection.py --better 3 --gain 0.04       # three of the configurations are better: power
    python benchmarks/selection.py --earlier 100 --folds 5      # three start points of another search of these samples
    python benchmarks/selection.py --ablate --folds 5 --runs 100    # the winner in an ablation, after its confirmation

A configuration is a linear rule on eight features of its own: 80 % of the variance of the features is shared by all
configurations, so that samples that suit one suit others too. All have the same expected AUC, unless some are --better.
The search scores each by cross-validation; the best are trained again on new folds of the same samples, and the best
mean wins.
Noise of seeds is added to the weights of a rule: none, .3 and 1.0 of their length, so that two repeats of the same
configurations correlate by about .75, .3 and .05. A verdict is that the winner is better than the baseline, which was
not selected; nominal is at most .025.

- corrected t: the corrected resampled t-test, as if the two had been chosen beforehand (until November 2026)
- corrected t, selection: the same error, with the quantile of `hpo.statistics.selection`; fold AUCs suffice
- samples, selection: error from out-of-fold scores, `repeated_difference`, with that quantile

"optimism" is the winner's mean minus the true AUC of its trained rules, less the same of unselected configurations;
"said" what a report says of it, expected to most, and "within" how often the optimism is at most the most.
--earlier lets another search of so many configurations come before, on folds of its own, whose best three are tried
in place of three others; "not counted" is then how often the winner is better if only the later search counts, as was
until November 2026.
--ablate trains the winner three times more, on new folds, beside the unselected configurations, which stand for changes
without effect that have nothing in common with it: "ablation" is how many are called worse, and how many better.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from hpo.statistics.auc import auc as area
from hpo.statistics.corrected_t_test import corrected_difference
from hpo.statistics.moderated_variance import fit_variance_prior
from hpo.statistics.selection import (
    Selection,
    fold_influences,
    noise_share,
    repeated_difference,
    selected_comparison,
    winner_optimism,
)

DEVELOPMENT = {
    "breast": (456, 168),
    "pneumonia": (3883, 1349),
    "adrenal3d": (281, 1005),
    "nodule3d": (336, 987),
    "vessel3d": (170, 1357),
    "synapse3d": (1030, 377),
    "rare": (5, 250),
}
"""Positives and negatives of the development sets; of the 3D ones but the first about, by the share that is published.
`rare` has one positive in each of five folds."""

FEATURES, OWN, UNSELECTED, STARTS = 8, 0.2, 6, 3
METHODS = ("corrected t", "corrected t, selection", "samples, selection")
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A search and its confirmation.

    Attributes:
        labels: (N,) 0 or 1.
        noise: of seeds, relative to the length of a rule's weights.
        better: configurations of the search that are better than the others, by `gain` in AUC.
        earlier: configurations of another search of these samples, whose best `STARTS` are tried among the others.
        ablated: repeats of the winner's ablation, 0 for none.
    """

    labels: NDArray[np.int64]
    noise: float
    search_folds: int
    auc: float = 0.87
    tried: int = 40
    top: int = 8
    repeats: int = 5
    folds: int = 5
    better: int = 0
    gain: float = 0.0
    earlier: int = 0
    ablated: int = 0

    def distances(self) -> Table:
        """Distance of the classes in each feature: of unselected configurations, of the search, of an earlier one."""
        aucs = np.full(UNSELECTED + self.tried + self.earlier, self.auc)
        aucs[UNSELECTED : UNSELECTED + self.better] += self.gain
        return np.array([NormalDist().inv_cdf(auc) for auc in aucs]) * math.sqrt(2 / FEATURES)


@dataclass(frozen=True)
class Scored:
    """Rules cross-validated on the same folds: AUCs and true AUCs, (C, k), and influences of samples, (C, N)."""

    aucs: Table
    truths: Table
    influences: Table


@dataclass
class Tally:
    """What was found in the runs of one case."""

    runs: int = 0
    better: dict[str, int] = field(default_factory=lambda: dict.fromkeys(METHODS, 0))
    widths: dict[str, list[float]] = field(default_factory=lambda: {method: [] for method in METHODS})
    optimism: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    uncounted: int = 0

    def share(self, method: str) -> float:
        """Share of the runs in which the winner was called better."""
        return self.better[method] / self.runs

    @property
    def within(self) -> float:
        """Share of the runs in which the optimism was at most the most that is said."""
        return float(np.mean(np.array(self.optimism) <= np.array(self.most)))


def cross_validated(
    samples: Table,
    distances: Table,
    model: Model,
    folds: int,
    random: np.random.Generator,
    *,
    with_influences: bool = True,
) -> Scored:
    """Train and score the rule of each table of features, (C, N, FEATURES), on folds that are dealt anew."""
    labels = model.labels
    fold = np.empty(labels.size, dtype=np.int64)
    for label in (0, 1):
        places = np.flatnonzero(labels == label)
        fold[random.permutation(places)] = np.arange(places.size) % folds
    aucs, truths = np.empty((2, len(samples), folds))
    parts: list[list[tuple[NDArray[np.int64], Table, Table]]] = [[] for _ in samples]
    for scored in range(folds):
        fit, held = fold != scored, np.flatnonzero(fold == scored)
        rules = samples[:, fit & (labels == 1)].mean(1) - samples[:, fit & (labels == 0)].mean(1)
        length = np.linalg.norm(rules, axis=1, keepdims=True)
        rules += model.noise * length / math.sqrt(FEATURES) * random.normal(size=rules.shape)
        scores = np.einsum("cnf,cf->cn", samples[:, held], rules)
        truths[:, scored] = special.ndtr(rules.sum(1) * distances / np.linalg.norm(rules, axis=1) / math.sqrt(2))
        for place, one in enumerate(scores):
            aucs[place, scored] = area(one, labels[held])
            if with_influences:
                parts[place].append((held, labels[held], one))
    return Scored(aucs, truths, np.array([fold_influences(one, labels.size) for one in parts]))


def run(model: Model, random: np.random.Generator, tally: Tally) -> None:
    """Search, confirm, name the winner, and compare it with the first unselected configuration."""
    distances = model.distances()
    shape = (len(distances), model.labels.size, FEATURES)
    common = random.normal(size=shape[1:])
    samples = math.sqrt(1 - OWN) * common + math.sqrt(OWN) * random.normal(size=shape)
    samples += distances[:, None, None] * model.labels[:, None]
    tried = np.arange(UNSELECTED, UNSELECTED + model.tried)
    if model.earlier:
        before = np.arange(UNSELECTED + model.tried, len(distances))
        tried[-STARTS:] = _best(samples, distances, before, model, STARTS, random)
    best = _best(samples, distances, tried, model, model.top, random)
    chosen = np.r_[np.arange(UNSELECTED), best]
    confirmed = [
        cross_validated(samples[chosen], distances[chosen], model, model.folds, random) for _ in range(model.repeats)
    ]
    aucs = np.stack([one.aucs for one in confirmed], axis=1)
    truths = np.stack([one.truths for one in confirmed], axis=1)
    influences = np.stack([one.influences for one in confirmed], axis=1)
    winner = UNSELECTED + int(aucs[UNSELECTED:].mean((1, 2)).argmax())
    # A report sees one baseline and the candidates; the other unselected ones are there to measure the optimism by.
    seen = [0, *range(UNSELECTED, len(chosen))]
    _judge(model, aucs[seen], influences[seen], winner - UNSELECTED + 1, tally)
    excess = (aucs - truths).mean((1, 2))
    tally.optimism.append(float(excess[winner] - excess[1:UNSELECTED].mean()))
    tally.runs += 1
    if model.ablated:
        compared = [int(chosen[winner]), *range(UNSELECTED)]
        again = [
            cross_validated(samples[compared], distances[compared], model, model.folds, random)
            for _ in range(model.ablated)
        ]
        tally.changes += _verdicts_of_ablation(model, again)


def _best(
    samples: Table,
    distances: Table,
    tried: NDArray[np.int64],
    model: Model,
    count: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    searched = cross_validated(
        samples[tried], distances[tried], model, model.search_folds, random, with_influences=False
    )
    best: NDArray[np.int64] = tried[np.argsort(-searched.aucs.mean(1))[:count]]
    return best


def _verdicts_of_ablation(model: Model, repeats: list[Scored]) -> list[int]:
    """Compare each configuration with the first as an ablation does; return 1 for better, -1 for worse, else 0."""
    means = np.stack([one.aucs.mean(axis=1) for one in repeats], axis=1)
    influences = np.stack([one.influences for one in repeats], axis=1)
    prior = fit_variance_prior([one[None] for one in means])
    found = [
        repeated_difference(means[one] - means[0], influences[one] - influences[0], model.folds, prior=prior)[0]
        for one in range(1, len(means))
    ]
    return [int(one.low > 0) - int(one.high < 0) for one in found]


def _judge(model: Model, aucs: Table, influences: Table, winner: int, tally: Tally) -> None:
    later = Selection(model.tried, model.top, 1, model.repeats)
    # The start points are counted with the earlier search.
    selection = replace(later, tried=model.tried + max(model.earlier - STARTS, 0))
    prior = fit_variance_prior(list(aucs))
    plain = corrected_difference(aucs[winner] - aucs[0], prior=prior)
    repeats = aucs.mean(axis=2)
    pooled = fit_variance_prior([one[None] for one in repeats])
    sampled, noise = repeated_difference(
        repeats[winner] - repeats[0], influences[winner] - influences[0], model.folds, prior=pooled
    )
    answers = {
        METHODS[0]: plain,
        METHODS[1]: selected_comparison(plain, selection, noise_share(list(aucs), plain.error)),
        METHODS[2]: selected_comparison(sampled, selection, noise),
    }
    for method, found in answers.items():
        tally.better[method] += found.low > 0
        tally.widths[method].append(found.high - found.low)
    tally.uncounted += selected_comparison(sampled, later, noise).low > 0
    said = winner_optimism(selection, sampled.error, noise)
    tally.expected.append(said.expected)
    tally.most.append(said.most)


def simulated(model: Model, runs: int, seed: int) -> Tally:
    """Run a case so many times."""
    random, tally = np.random.default_rng(seed), Tally()
    for _ in range(runs):
        run(model, random, tally)
    return tally


def main() -> None:
    """Parse, simulate, print a table, and with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DEVELOPMENT, default=["breast"])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.3, 1.0])
    parser.add_argument("--folds", type=int, nargs="+", default=[5, 3], help="of the search")
    parser.add_argument("--auc", type=float, default=0.87, help="of rules trained without end")
    parser.add_argument("--better", type=int, default=0)
    parser.add_argument("--gain", type=float, default=0.0)
    parser.add_argument("--earlier", type=int, default=0)
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started, figures = time.perf_counter(), []
    header = ["data", "noise of seeds", "folds", *METHODS, "optimism", "said", "within"]
    header += ["not counted"] * bool(given.earlier) + ["ablation: worse, better"] * given.ablate
    print(f"| {' | '.join(header)} |")
    print("|---" * len(header) + "|")
    for data in given.data:
        for noise in given.noise:
            for folds in given.folds:
                labels = np.repeat([1, 0], DEVELOPMENT[data])
                ablated = 3 if given.ablate else 0
                model = Model(
                    labels,
                    noise,
                    folds,
                    given.auc,
                    better=given.better,
                    gain=given.gain,
                    earlier=given.earlier,
                    ablated=ablated,
                )
                tally = simulated(model, given.runs, given.seed)
                shares = " | ".join(
                    f"{tally.share(method):.3f} ± {np.mean(tally.widths[method]) / 2:.3f}" for method in METHODS
                )
                error = stats.sem(tally.optimism)
                said = f"{np.mean(tally.expected):.3f} to {np.mean(tally.most):.3f}"
                told = f"{np.mean(tally.optimism):.3f} ± {error:.3f} | {said} | {tally.within:.3f}"
                if given.earlier:
                    told += f" | {tally.uncounted / tally.runs:.3f}"
                if given.ablate:
                    verdicts = np.array(tally.changes)
                    told += f" | {np.mean(verdicts < 0):.3f}, {np.mean(verdicts > 0):.3f}"
                print(f"| {data} | {noise:g} | {folds} | {shares} | {told} |", flush=True)
                figures.append({"data": data, "noise": noise, "folds": folds} | vars(tally))
    print(f"\n{given.runs} runs of each case, seed {given.seed}, {time.perf_counter() - started:.0f} s")
    print("Each share of verdicts with the mean half-width of the interval of the difference.")
    if given.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
