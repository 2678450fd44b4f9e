"""What looking before more repeats costs, and what racing costs and saves, in simulated confirmations.

    python -m benchmarks.repeats                               # BreastMNIST's size, 200 runs of each case
    python -m benchmarks.repeats --better 3 --gain 0.04        # three of the configurations are better

The searches and confirmations of `benchmarks/selection.py`: 40 configurations, of which the best eight are confirmed
beside a baseline over ten repeats of five folds. All are equally good, unless some are --better.

Verdicts: shares of runs with one, which is false where all are equal, after 3, 5 and 10 repeats that were planned; for
who looks after 5 and 10, and after 3, 5 and 10, and stops at a verdict, as if nobody had looked before; and for the
same user where what comes after the first look is held at the level of two (`CandidateResults.looks`).

- winner: better than the baseline, its selection accounted for; "no scores": by the corrected resampled t-test
- pair: two configurations chosen beforehand differ, five pairs in each run
- methods: any of five configurations differs from a sixth, as `hpo methods` compares a recipe, Sidak over them

Lengths: by how much the intervals of pairs, and of methods, would have to be longer for 95 % of them to hold at every
look, as they are shown: after 3 repeats that were planned; counted, after 5 and 10, and after 3, 5 and 10; and after 3,
5 and 10 with each look counted, three at the end, in place of two. Below 1 they are longer than they need to be.

Racing is over the first five repeats, at 99 %, beside the same runs without it: candidates dropped of eight, share of
their trainings saved, how often the winner without racing was dropped, how much lower the true AUC of the winner is,
and how often it is called better, with and without.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.selection import DEVELOPMENT, FEATURES, OWN, UNSELECTED, Model, Scored, cross_validated
from hpo.outcome.candidate_results import CandidateResults
from hpo.search.strategy.racing import race
from hpo.statistics.intervals import CONFIDENCE, ZERO_TOLERANCE, Comparison, simultaneous_confidence, simultaneous_p
from hpo.statistics.selection import Selection
from hpo.statistics.t_intervals import t_quantile
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.plan import Candidate, Plan

LOOKS = (3, 5, 10)
RACED = 5
SPEC = default_spec("breast")
QUESTIONS = ("winner", "winner, no scores", "pair", "pair, no scores", "methods")


@dataclass
class Tally:
    """What was found in the runs of one case.

    Attributes:
        verdicts: by question, number of looks that are counted and repeats: whether there was a verdict in each run.
        reaches: likewise, the difference in units of the half-width of its interval, of which all are false above 1.
    """

    verdicts: dict[tuple[str, int, int], list[bool]] = field(default_factory=lambda: defaultdict(list))
    reaches: dict[tuple[str, int, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    dropped: list[int] = field(default_factory=list)
    saved: list[float] = field(default_factory=list)
    missed: list[bool] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    better: list[tuple[bool, bool]] = field(default_factory=list)

    def planned(self, question: str, repeats: int) -> float:
        """Share of runs with a verdict after so many repeats that were planned."""
        return float(np.mean(self.verdicts[question, 1, repeats]))

    def stopping(self, question: str, looks: Sequence[int], counted: int) -> float:
        """Share of runs with a verdict at any look, where `counted` looks are allowed for from the second on."""
        later = [self.verdicts[question, counted, repeats] for repeats in looks[1:]]
        return float(np.any([self.verdicts[question, 1, looks[0]], *later], axis=0).mean())

    def lengthening(self, question: str, looks: Sequence[int], counted: Sequence[int]) -> tuple[float, float]:
        """Factor by which intervals at these looks would have to be longer to hold together, and the share that do not.

        Args:
            looks: repeats at each.
            counted: looks that are allowed for at each.
        """
        most = np.max(
            [self.reaches[question, one, repeats] for repeats, one in zip(looks, counted, strict=True)], axis=0
        )
        return float(np.quantile(most, CONFIDENCE)), float((most > 1).mean())


def results(
    repeats: Sequence[Scored],
    places: Sequence[int],
    *,
    selection: Selection | None = None,
    first: int | None = None,
    racing: float = 0.0,
    knows_samples: bool = True,
) -> CandidateResults:
    """Return configurations, of which the first is a baseline, as hpo compares them; `racing` is its level."""
    spec = SPEC
    scoring = spec.scoring.model_copy(update={"rows": "kfold", "folds": repeats[0].aucs.shape[1]})
    candidates = [Candidate(name=str(one), config=TrainConfig(), is_reference=not one) for one in range(len(places))]
    plan = Plan(search="", candidates=tuple(candidates), top=len(candidates), racing_level=racing)
    slots = [(one, repeat) for one in range(len(places)) for repeat in range(len(repeats))]
    spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": len(slots)}), "scoring": scoring})
    found: dict[tuple[int, int], tuple[float, ...] | None] = {
        (one, repeat): tuple(map(float, repeats[repeat].aucs[places[one]])) for one, repeat in slots
    }
    for one, exit_of in race(plan, found, scoring).items():
        for repeat in range(exit_of.repeat + 1, len(repeats)):
            del found[one, repeat]
    influences = {(one, repeat): repeats[repeat].influences[places[one]] for one, repeat in found}
    return CandidateResults(spec, plan, found, selection, influences if knows_samples else {}, first)


def run(model: Model, random: np.random.Generator, tally: Tally) -> None:
    """Search, confirm with looks in between, race, and compare configurations that were not selected."""
    distances = model.distances()
    shape = (len(distances), model.labels.size, FEATURES)
    samples = math.sqrt(1 - OWN) * random.normal(size=shape[1:]) + math.sqrt(OWN) * random.normal(size=shape)
    samples += distances[:, None, None] * model.labels[:, None]
    searched = cross_validated(samples[UNSELECTED:], distances[UNSELECTED:], model, model.search_folds, random)
    best = UNSELECTED + np.argsort(-searched.aucs.mean(1))[: model.top]
    chosen = np.r_[np.arange(UNSELECTED), best]
    repeats = [
        cross_validated(samples[chosen], distances[chosen], model, model.folds, random) for _ in range(max(LOOKS))
    ]
    confirmed = [0, *range(UNSELECTED, len(chosen))]
    for until in LOOKS:
        for first in (None, until - 1):
            for scores in (True, False):
                _look(model, repeats[:until], confirmed, first, tally, knows_samples=scores)
    _race(model, repeats[:RACED], confirmed, tally)


def _look(
    model: Model,
    repeats: Sequence[Scored],
    confirmed: Sequence[int],
    first: int | None,
    tally: Tally,
    *,
    knows_samples: bool,
) -> None:
    suffix = "" if knows_samples else ", no scores"
    until = len(repeats)
    selection = Selection(model.tried, model.top, 1, until)
    table = results(repeats, confirmed, selection=selection, first=first, knows_samples=knows_samples)
    looks = table.looks
    tally.verdicts["winner" + suffix, looks, until].append(_is_better(table))
    unselected = results(repeats, range(UNSELECTED), first=first, knows_samples=knows_samples)
    found = [unselected.difference(one, 0) for one in range(1, UNSELECTED)]
    tally.verdicts["pair" + suffix, looks, until] += [one is not None and one.is_distinguishable for one in found]
    # What each look more would be counted as is not in `CandidateResults`, which knows of two at most.
    for counted in (1,) if looks == 1 else (2, 3):
        tally.reaches["pair" + suffix, counted, until] += [_reach(one, counted) for one in found if one is not None]
        together = max(_reach(one, counted * len(found)) for one in found if one is not None)
        tally.reaches["methods" + suffix, counted, until].append(together)
    if knows_samples:
        p = min(simultaneous_p(one.p, looks * len(found)) for one in found if one is not None)
        tally.verdicts["methods", looks, until].append(p < 0.05)


def _reach(found: Comparison, count: int) -> float:
    """Return the difference in units of the half-width of its interval, as one of `count` that hold together."""
    if found.error <= ZERO_TOLERANCE:
        return 0.0
    return abs(found.difference) / (t_quantile(simultaneous_confidence(count), found.degrees) * found.error)


def _winner(table: CandidateResults) -> int:
    return next(one for one in table.order if one)


def _is_better(table: CandidateResults) -> bool:
    found = table.difference(_winner(table), 0)
    return found is not None and found.low > 0


def _race(model: Model, repeats: Sequence[Scored], confirmed: Sequence[int], tally: Tally) -> None:
    selection = Selection(model.tried, model.top, 1, len(repeats))
    whole, raced = (results(repeats, confirmed, selection=selection, racing=level) for level in (0.0, 0.01))
    ends = [len(raced.finished(one)) for one in range(1, len(confirmed))]
    tally.dropped.append(sum(end < len(repeats) for end in ends))
    tally.saved.append(1 - sum(ends) / (len(ends) * len(repeats)))
    first, second = _winner(whole), _winner(raced)
    tally.missed.append(first not in raced.order)
    truths = [float(np.mean([one.truths[confirmed[place]] for one in repeats])) for place in (first, second)]
    tally.lost.append(truths[0] - truths[1])
    tally.better.append((_is_better(raced), _is_better(whole)))


def simulated(model: Model, runs: int, seed: int) -> Tally:
    """Run a case so many times."""
    random, tally = np.random.default_rng(seed), Tally()
    for _ in range(runs):
        run(model, random, tally)
    return tally


def main() -> None:
    """Parse, simulate, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DEVELOPMENT, default="breast")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.3, 1.0])
    parser.add_argument("--better", type=int, default=0)
    parser.add_argument("--gain", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started = time.perf_counter()
    labels = np.repeat([1, 0], DEVELOPMENT[given.data])
    models = {noise: Model(labels, noise, 5, better=given.better, gain=given.gain) for noise in given.noise}
    tallies = {noise: simulated(model, given.runs, given.seed) for noise, model in models.items()}
    print("| verdict on | noise of seeds | 3 | 5 | 10 | 5, 10 | 3, 5, 10 | 5, 10, counted | 3, 5, 10, counted |")
    print("|---" * 9 + "|")
    for question in QUESTIONS:
        for noise, tally in tallies.items():
            shares = [tally.planned(question, repeats) for repeats in LOOKS]
            shares += [tally.stopping(question, looks, counted) for counted in (1, 2) for looks in (LOOKS[1:], LOOKS)]
            print(f"| {question} | {noise:g} | {' | '.join(f'{share:.3f}' for share in shares)} |")
    print("\n| interval of | noise of seeds | 3 | 5, 10, counted | 3, 5, 10, counted | each counted |")
    print("|---" * 6 + "|")
    cases = [(LOOKS[:1], (1,)), (LOOKS[1:], (1, 2)), (LOOKS, (1, 2, 2)), (LOOKS, (1, 2, 3))]
    for question in QUESTIONS[2:]:
        for noise, tally in tallies.items():
            found = [tally.lengthening(question, looks, counted) for looks, counted in cases]
            print(f"| {question} | {noise:g} | {' | '.join(f'{one:.2f} ({share:.3f})' for one, share in found)} |")
    print("\n| noise of seeds | dropped of 8 | saved | winner dropped | true AUC lost | better, raced | not |")
    print("|---" * 7 + "|")
    for noise, tally in tallies.items():
        error = np.std(tally.lost, ddof=1) / math.sqrt(given.runs)
        raced, whole = np.mean(tally.better, axis=0)
        print(
            f"| {noise:g} | {np.mean(tally.dropped):.2f} | {np.mean(tally.saved):.3f} | {np.mean(tally.missed):.3f} | "
            f"{np.mean(tally.lost):.4f} ± {error:.4f} | {raced:.3f} | {whole:.3f} |"
        )
    print(f"\n{given.data}, {given.runs} runs of each case, seed {given.seed}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
