"""Evaluate a confirmation: means over repeats, paired differences, and the winner by the study file's rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from hpo.search.queries.status import read_status
from hpo.search.strategy.racing import Elimination, Results, difference_over, mean_over, race, read_results
from hpo.search.study import Study
from hpo.statistics.intervals import Comparison
from hpo.statistics.moderated_variance import VariancePrior, fit_variance_prior
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec
from hpo.study.stored import JSON_KEY


class Verdict(StrEnum):
    """Verdict of the interval of a difference; the values are those of `--json`, `text` is for people."""

    BETTER = "better"
    WORSE = "worse"
    INDISTINGUISHABLE = "cannot be told apart"

    @property
    def text(self) -> str:
        """Return the word for tables and sentences."""
        return self.name.lower()


@dataclass(frozen=True)
class Difference:
    """A candidate minus another over the repeats that both finished. low, high: 95 % interval, None without spread."""

    to: str
    repeats: int
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True)
class LeaderboardRow:
    """A candidate with its results over repeats.

    Attributes:
        search_auc, search_error: of its trial in the search.
        mean, standard_error, low, high: over its complete repeats, with a 95 % interval.
        optimism: of the search, search_auc minus mean.
        rank: by mean among candidates that can win; None for the others.
        note: why it cannot win.
    """

    rank: int | None
    candidate: str
    is_reference: bool
    trial: int | None
    search_auc: float | None
    search_error: float | None
    repeats: int
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    optimism: float | None = field(metadata={JSON_KEY: "flattered"})
    differences: list[Difference]
    note: str


@dataclass(frozen=True)
class Confirmation:
    """The state and the results of a confirmation.

    Attributes:
        repeats: planned.
        whole: repeats that every candidate still in the race has ended; only these count.
        winner: None until all is done, and if no candidate finished every repeat.
        leader: the winner if the confirmation ended now.
        leaderboard: ordered by mean; candidates that cannot win come last.
    """

    name: str
    search: str
    dataset: str
    rows: str
    rule: str
    repeats: int
    whole: int
    done: bool
    winner: str | None
    leader: str | None
    leaderboard: list[LeaderboardRow] = field(metadata={JSON_KEY: "standings"})
    notes: list[str]


def read_confirmation(study: Study) -> Confirmation:
    """Read the results of a confirmation and compare its candidates."""
    plan = study.spec.plan
    assert plan is not None, study.name
    results = study.database.read(lambda connection: read_results(connection, study))
    status = read_status(study)
    return judge(study.name, study.spec, plan, results, done=status.is_done)


def judge(name: str, spec: StudySpec, plan: Plan, results: Results, *, done: bool) -> Confirmation:
    """Compare the candidates. done: whether every planned trial has ended."""
    table = _Table(spec, plan, results)
    order = table.order
    leader = plan.candidates[order[0]].name if order else None
    ranked = [*order, *(number for number in range(len(plan.candidates)) if number not in order)]
    return Confirmation(
        name=name,
        search=plan.search,
        dataset=spec.dataset,
        rows=spec.scoring.rows,
        rule=spec.confirm.rule,
        repeats=table.repeats,
        whole=table.whole,
        done=done,
        winner=leader if done else None,
        leader=leader,
        leaderboard=[table.row(number) for number in ranked],
        notes=_notes(spec, plan, moderated=table.prior is not None),
    )


class _Table:
    """The results by candidate, restricted to complete repeats."""

    def __init__(self, spec: StudySpec, plan: Plan, results: Results) -> None:
        self._spec, self._plan, self._results = spec, plan, results
        self._numbers = range(len(plan.candidates))
        self._exits: dict[int, Elimination] = race(plan, results, spec.scoring)
        self.repeats = spec.budget.trials // len(plan.candidates)

    @cached_property
    def whole(self) -> int:
        """Count the repeats that every candidate has ended or dropped out of."""
        for repeat in range(self.repeats):
            if any(not self._ended(number, repeat) for number in self._numbers):
                return repeat
        return self.repeats

    @cached_property
    def order(self) -> list[int]:
        """Return the candidates that finished every complete repeat, best mean first; ties in planned order."""
        able = [number for number in self._numbers if self.whole and len(self._finished(number)) == self.whole]
        return sorted(able, key=lambda number: (-self._mean(number, self._finished(number)), number))

    @cached_property
    def prior(self) -> VariancePrior | None:
        """Return the prior that moderates variances, from all candidates that finished every complete repeat."""
        return fit_variance_prior([np.array(self._rows(number, self._finished(number))) for number in self.order])

    def row(self, number: int) -> LeaderboardRow:
        """Return a candidate's mean and its differences from each baseline and from the leader, or the runner-up."""
        candidate, repeats = self._plan.candidates[number], self._finished(number)
        mean = self._mean(number, repeats) if repeats else None
        estimate = mean_over(self._rows(number, repeats), self._spec.scoring) if repeats else None
        return LeaderboardRow(
            rank=self.order.index(number) + 1 if number in self.order else None,
            candidate=candidate.name,
            is_reference=candidate.is_reference,
            trial=candidate.trial,
            search_auc=candidate.auc,
            search_error=candidate.standard_error,
            repeats=len(repeats),
            mean=mean,
            standard_error=estimate.error if estimate is not None else None,
            low=estimate.low if estimate is not None else None,
            high=estimate.high if estimate is not None else None,
            optimism=candidate.auc - mean if candidate.auc is not None and mean is not None else None,
            differences=[found for other in self._opponents(number) if (found := self._difference(number, other))],
            note=self._note(number),
        )

    def _ended(self, number: int, repeat: int) -> bool:
        left = self._exits.get(number)
        return (number, repeat) in self._results or (left is not None and left.repeat < repeat)

    def _finished(self, number: int) -> list[int]:
        return [repeat for repeat in range(self.whole) if self._results.get((number, repeat)) is not None]

    def _rows(self, number: int, repeats: list[int]) -> list[tuple[float, ...]]:
        return [row for repeat in repeats if (row := self._results[number, repeat]) is not None]

    def _mean(self, number: int, repeats: list[int]) -> float:
        folds = [auc for row in self._rows(number, repeats) for auc in row]
        return math.fsum(folds) / len(folds)

    def _opponents(self, number: int) -> list[int]:
        against = [other for other in self._numbers if self._plan.candidates[other].is_reference]
        if self.order:
            leader, *followers = self.order
            against += followers[:1] if number == leader else [leader]
        return [other for other in dict.fromkeys(against) if other != number]

    def _difference(self, number: int, other: int) -> Difference | None:
        common = [repeat for repeat in self._finished(number) if repeat in self._finished(other)]
        if not common:
            return None
        first, second = self._rows(number, common), self._rows(other, common)
        prior = self.prior if len(common) == self.whole else None
        found = difference_over(first, second, self._spec.scoring, prior=prior)
        name = self._plan.candidates[other].name
        if found is None:
            alone = self._mean(number, common) - self._mean(other, common)
            return Difference(name, len(common), alone, None, None, Verdict.INDISTINGUISHABLE)
        return Difference(name, len(common), found.difference, found.low, found.high, verdict(found))

    def _note(self, number: int) -> str:
        if number in self._exits:
            return self._exits[number].reason
        failed = [repeat + 1 for repeat in range(self.whole) if self._results.get((number, repeat), ()) is None]
        return f"failed in repeat {', '.join(map(str, failed))}" if failed else ""


def verdict(found: Comparison) -> Verdict:
    """Return the verdict of an interval."""
    if not found.is_distinguishable:
        return Verdict.INDISTINGUISHABLE
    return Verdict.BETTER if found.difference > 0 else Verdict.WORSE


def _notes(spec: StudySpec, plan: Plan, *, moderated: bool) -> list[str]:
    how = "the corrected resampled t-test"
    if moderated:
        how += ", each variance moderated by those of all pairs (Smyth 2004)"
    notes = [
        f"Intervals are 95 % each, by {how}, not adjusted for multiple comparisons.",
        f"The highest of {len(plan.candidates)} means is still optimistically biased, though less than in the search; "
        "only the test set, read once, is free of selection bias.",
    ]
    if spec.scoring.rows == "official":
        notes.append(
            "Every repeat was scored on the same official validation set: the intervals cover seeds, not samples."
        )
    return notes
