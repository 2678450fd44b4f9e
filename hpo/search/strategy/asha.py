"""Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) over folds and epochs, and Hyperband."""

from __future__ import annotations

import bisect
import itertools
import math
from functools import cached_property

from hpo.search.strategy.pruner import Pruner, Rung
from hpo.search.strategy.seeds import trial_seed
from hpo.study.spec import StudySpec
from hpo.study.stages import Stage

_OF_THE_GOOD = 0.5
"""Share that goes on from the rung at which half of the folds have all epochs."""


def rungs_of(spec: StudySpec) -> dict[Stage, float]:
    """Return the rungs of a study in the order of training, each with the share of the trials that goes on.

    A rung of the study file beyond the folds or the epochs that a trial has is at their end.
    """
    search, folds, epochs = spec.search, spec.scoring.fold_count, spec.budget.epochs
    share = 1 / search.reduction
    if not isinstance(search.rungs, str):
        return {Stage(min(rung.folds, folds), min(rung.epochs, epochs)): rung.keep or share for rung in search.rungs}
    powers = (search.first_rung * search.reduction**power for power in itertools.count())
    ends = list(itertools.takewhile(lambda end: end < epochs, powers))
    if search.rungs == "epochs" or folds == 1:
        return {Stage(folds, end): share for end in ends}
    # One fold rejects what is bad, a second one what was lucky, and half of them tell the good ones apart.
    first = {Stage(min(place, 2, folds), end): share for place, end in enumerate(ends, start=1)}
    return {**first, Stage(math.ceil(folds / 2), epochs): _OF_THE_GOOD}


class SuccessiveHalving(Pruner):
    """Pruner that keeps, at each rung, the best share of the trials that have reached it so far."""

    def __init__(self, spec: StudySpec) -> None:
        super().__init__(spec)
        self._shares = rungs_of(spec)

    def rungs(self) -> tuple[Stage, ...]:
        """Return the rungs of the study file."""
        return tuple(self._shares)

    def goes_on(self, rung: Rung) -> bool:
        """Return whether a trial is among the best of its rung."""
        return _is_among_the_best(rung.better, rung.recorded, self.share_at(rung.stage))

    def passing_share(self) -> float:
        """Return 1/reduction."""
        return self._usual

    def share_at(self, stage: Stage) -> float:
        """Return the share of the study file at a rung."""
        return self._shares.get(stage, self._usual)

    def describe(self) -> str:
        """Describe the rungs and the shares."""
        stages = self.stages()[:-1]
        if not stages:
            return "no pruning, since no rung lies before the end of a trial"
        rungs = "; ".join(f"{stage} (the best {_fraction(self.share_at(stage))})" for stage in stages)
        return f"asynchronous successive halving, which lets trials go on after {rungs}"

    @property
    def _usual(self) -> float:
        return 1 / self.spec.search.reduction


class Hyperband(SuccessiveHalving):
    """Pruner that spreads the trials over brackets, each of which begins to halve at another rung.

    Trials are compared within their bracket only. A bracket gets a share of the trials in proportion to the inverse of
    its number of rungs to come, as if each bracket had the same budget. Li et al. 2018, JMLR 18:185.
    """

    def goes_on(self, rung: Rung) -> bool:
        """Return whether a trial is among the best of its bracket at its rung, or its bracket does not decide here."""
        stages = self.stages()
        index = stages.index(rung.stage)
        bracket = self._bracket(rung.number)
        if index < bracket:
            return True
        others = [trial for trial in rung.reached() if self._bracket(trial.number) == bracket]
        better = sum(trial.auc > rung.auc for trial in others)
        return _is_among_the_best(better, len(others), self.share_at(rung.stage))

    def describe(self) -> str:
        """Describe the brackets."""
        return f"Hyperband of {len(self.stages())} brackets; {super().describe()}"

    def _bracket(self, number: int) -> int:
        """Return the index of the first rung at which a trial is compared; the last one is never compared."""
        ends = self._ends
        # A hash of the number, so that every worker finds the same bracket.
        point = trial_seed(self.spec.search.seed, number, "bracket") / 2**31 * ends[-1]
        return min(bisect.bisect_right(ends, point), len(ends) - 1)

    @cached_property
    def _ends(self) -> list[float]:
        """Where the share of each bracket ends; a rung asks once for each trial that has reached it."""
        count = len(self.stages())
        weights = [self.spec.search.reduction**-bracket * count / (count - bracket) for bracket in range(count)]
        return list(itertools.accumulate(weights))


def _is_among_the_best(better: int, recorded: int, share: float) -> bool:
    """Return whether a trial with so many better ones is among the best share; with too few trials each one is."""
    # The tolerance lets 3 * (1/3) be one.
    best = int(recorded * share + 1e-9)
    return best == 0 or better < best


def _fraction(share: float) -> str:
    """Format a share: `1/3` if it is one over a whole number, else `40 %`."""
    whole = round(1 / share)
    return f"1/{whole}" if abs(1 / share - whole) < 1e-6 else f"{share:.0%}".replace("%", " %")
