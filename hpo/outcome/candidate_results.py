"""Results of a confirmation by candidate: who finished, who leads, and each two compared as they were selected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpo.search.strategy.racing import Elimination, Results, difference_over, mean_over, race
from hpo.statistics.intervals import ZERO_TOLERANCE, Comparison, Estimate, simultaneous_confidence
from hpo.statistics.moderated_variance import VariancePrior, fit_variance_prior
from hpo.statistics.selection import (
    Optimism,
    Selection,
    noise_share,
    repeated_difference,
    selected_comparison,
    winner_optimism,
)
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec

Influences = Mapping[tuple[int, int], NDArray[np.float64]]
"""Maps (candidate, repeat), both from 0, to the influence of each sample of the development set on its mean AUC."""

LEAST_REPEATS = 3
"""Number of repeats from which their spread is used by itself, see `repeated_difference`."""


class CandidateResults:
    """The results of the candidates of a confirmation or ablation, restricted to complete repeats.

    Attributes:
        repeats: planned.
        selection: None for an ablation, where nothing was selected.
        first: repeats that were planned when it was created; None if unknown.
    """

    def __init__(
        self,
        spec: StudySpec,
        plan: Plan,
        results: Results,
        selection: Selection | None,
        influences: Influences,
        first: int | None = None,
    ) -> None:
        self._spec, self._plan, self._results = spec, plan, results
        self.selection, self._influences = selection, influences
        self.first = first
        self._numbers = range(len(plan.candidates))
        self.repeats = spec.budget.trials // len(plan.candidates)
        # After the last repeat nothing is left to drop a candidate from: it finished like the others.
        self._exits: dict[int, Elimination] = {
            number: left for number, left in race(plan, results, spec.scoring).items() if left.repeat < self.repeats - 1
        }

    @cached_property
    def whole(self) -> int:
        """Count the repeats that every candidate has ended or dropped out of."""
        for repeat in range(self.repeats):
            if any(not self._ended(number, repeat) for number in self._numbers):
                return repeat
        return self.repeats

    @cached_property
    def looks(self) -> int:
        """Count the results that the intervals are of: a second one where repeats were added to those planned first.

        Whoever adds repeats because the first left a question open has two chances of a false answer, and more is not
        known: neither whether anybody looked, nor how often.
        """
        return 2 if self.first is not None and 0 < self.first < self.whole else 1

    @cached_property
    def order(self) -> list[int]:
        """Return the candidates that can win, best mean first; ties in planned order.

        They finished every complete repeat, and were not dropped. One that was dropped while its next repeat was being
        trained may have finished all the same: who can win must not depend on that.
        """
        racing = [number for number in self._numbers if number not in self._exits]
        able = [number for number in racing if self.whole and len(self.finished(number)) == self.whole]
        return sorted(able, key=lambda number: (-self.mean(number, self.finished(number)), number))

    @cached_property
    def prior(self) -> VariancePrior | None:
        """Return the prior that moderates variances, from all candidates that finished every complete repeat."""
        return fit_variance_prior(self._tables)

    @cached_property
    def knows_samples(self) -> bool:
        """Whether out-of-fold scores are there for every complete repeat, and used."""
        return (
            self._spec.scoring.rows == "kfold"
            and self.whole >= LEAST_REPEATS
            and all((number, repeat) in self._influences for number in self.order for repeat in range(self.whole))
        )

    @cached_property
    def remaining(self) -> Optimism | None:
        """Return the optimism of the leader, from its difference to the first of its opponents that finished all."""
        if self.selection is None or not self.order:
            return None
        opponents = [number for number in self.opponents(self.order[0]) if number in self.order]
        if not opponents:
            return None
        found = self._compared(self.order[0], opponents[0])
        if found is None or found[0].error <= ZERO_TOLERANCE:
            return None
        return winner_optimism(self._made(self.selection), found[0].error, found[1])

    @cached_property
    def _tables(self) -> list[NDArray[np.float64]]:
        """Return the AUCs, (repeats, folds), of the candidates that finished every complete repeat."""
        return [np.array(self._rows(number, self.finished(number))) for number in self.order]

    @cached_property
    def _prior_of_repeats(self) -> VariancePrior | None:
        return fit_variance_prior([table.mean(axis=1)[None] for table in self._tables])

    @property
    def _confidence(self) -> float:
        return simultaneous_confidence(self.looks)

    def _ended(self, number: int, repeat: int) -> bool:
        left = self._exits.get(number)
        return (number, repeat) in self._results or (left is not None and left.repeat < repeat)

    def finished(self, number: int) -> list[int]:
        """Return the complete repeats that a candidate finished."""
        return [repeat for repeat in range(self.whole) if self._results.get((number, repeat)) is not None]

    def _rows(self, number: int, repeats: list[int]) -> list[tuple[float, ...]]:
        return [row for repeat in repeats if (row := self._results[number, repeat]) is not None]

    def mean(self, number: int, repeats: list[int]) -> float:
        """Return the mean AUC of a candidate over repeats and folds."""
        folds = [auc for row in self._rows(number, repeats) for auc in row]
        return math.fsum(folds) / len(folds)

    def opponents(self, number: int) -> list[int]:
        """Return what a candidate is compared with: the baselines, and the leader, or for the leader the runner-up."""
        against = [other for other in self._numbers if self._plan.candidates[other].is_reference]
        if self.order:
            leader, *followers = self.order
            against += followers[:1] if number == leader else [leader]
        return [other for other in dict.fromkeys(against) if other != number]

    def estimate(self, number: int) -> Estimate | None:
        """Estimate the mean of a candidate over the repeats that it finished; None without spread."""
        return mean_over(self._rows(number, self.finished(number)), self._spec.scoring)

    def difference(self, number: int, other: int) -> Comparison | None:
        """Compare two candidates, with the selection accounted for; None without spread.

        Two baselines were not selected, whichever leads.
        """
        compared = self._compared(number, other)
        if compared is None:
            return None
        found, share = compared
        chosen_before = all(self._plan.candidates[one].is_reference for one in (number, other))
        if self.selection is None or chosen_before:
            return found
        return selected_comparison(found, self._made(self.selection), share, self._confidence)

    def _made(self, selection: Selection) -> Selection:
        """Return the selection as made by the complete repeats: the fewer there are, the less they average out."""
        return replace(selection, repeats=max(self.whole, 1))

    def common(self, number: int, other: int) -> list[int]:
        """Return the complete repeats that both candidates finished."""
        return [repeat for repeat in self.finished(number) if repeat in self.finished(other)]

    def _compared(self, number: int, other: int) -> tuple[Comparison, float] | None:
        """Compare two candidates as if chosen beforehand; return the share of noise in the variance, too."""
        common = self.common(number, other)
        first, second = self._rows(number, common), self._rows(other, common)
        complete = len(common) == self.whole
        if complete and self.knows_samples and number in self.order and other in self.order:
            differences = np.array(first).mean(axis=1) - np.array(second).mean(axis=1)
            influences = [self._influences[number, repeat] - self._influences[other, repeat] for repeat in common]
            folds = self._spec.scoring.folds
            return repeated_difference(
                differences, np.stack(influences), folds, self._confidence, self._prior_of_repeats
            )
        prior = self.prior if complete else None
        found = difference_over(first, second, self._spec.scoring, self._confidence, prior)
        if found is None:
            return None
        return found, noise_share(self._tables, found.error) if complete and self._tables else 0.0

    def note(self, number: int) -> str:
        """Return why a candidate cannot win; "" if it can."""
        if number in self._exits:
            return self._exits[number].reason
        failed = [repeat + 1 for repeat in range(self.whole) if self._results.get((number, repeat), ()) is None]
        return f"failed in repeat {', '.join(map(str, failed))}" if failed else ""
