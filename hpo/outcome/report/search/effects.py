"""What the trials of a search say about each setting, compared at one epoch that all of them reached."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.study.config import applies
from hpo.study.space import Choices

LEAST_PER_LEVEL = 2


@dataclass(frozen=True)
class Level:
    """The trials with one value of a setting. standard_error: of the mean over trials; None for a single trial."""

    value: Any
    aucs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean AUC of its trials."""
        return statistics.fmean(self.aucs)

    @property
    def standard_error(self) -> float | None:
        """Of the mean, from the spread between trials; None for a single trial."""
        return statistics.stdev(self.aucs) / math.sqrt(len(self.aucs)) if len(self.aucs) > 1 else None


@dataclass(frozen=True)
class ChoiceEffect:
    """A setting with choices. levels: best mean first. difference, low, high: of the best and the worst level with at
    least LEAST_PER_LEVEL trials, and its 95 % interval by Welch; None if there are not two such levels."""

    setting: str
    levels: tuple[Level, ...]
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class NumberEffect:
    """A setting with a range: Spearman's rank correlation with AUC over `count` trials, with its 95 % interval."""

    setting: str
    correlation: float
    low: float
    high: float
    count: int


def choice_effects(search: SearchEvidence) -> list[ChoiceEffect]:
    """One for each searched setting with more than one choice, in the order of the space."""
    found = []
    for name, entry in search.spec.space.items():
        if isinstance(entry, Choices) and len(entry.choices) > 1:
            points = points_of(search, name)
            levels = [Level(choice, tuple(auc for value, auc in points if value == choice)) for choice in entry.choices]
            found.append(_compare(name, [level for level in levels if level.aucs]))
    return found


def number_effects(search: SearchEvidence) -> list[NumberEffect]:
    """One for each searched range in which at least 5 trials lie, strongest first; none if either does not vary."""
    from scipy import stats  # Takes 0.7 s to import, and `hpo dashboard` needs no effects.

    found = []
    for name, entry in search.spec.space.items():
        points = points_of(search, name)
        if isinstance(entry, Choices) or len(points) < 5:
            continue
        values, aucs = zip(*points, strict=True)
        if len(set(values)) < 2 or len(set(aucs)) < 2:
            continue
        correlation = float(stats.spearmanr(values, aucs).statistic)
        found.append(NumberEffect(name, correlation, *_fisher(correlation, len(points)), len(points)))
    return sorted(found, key=lambda effect: -abs(effect.correlation))


def points_of(search: SearchEvidence, setting: str) -> list[tuple[Any, float]]:
    """(value, AUC at the shared epoch) of the trials in which a setting means something; references are left out."""
    return [
        (trial.config[setting], auc)
        for trial, auc in search.at_shared_epoch()
        if not trial.row.reference and applies(setting, trial.config)
    ]


def _fisher(correlation: float, count: int) -> tuple[float, float]:
    """95 % interval by Fisher's transformation with the variance of Bonett and Wright 2000 for ranks."""
    # scipy.stats.pearsonr has Fisher's own variance, which is too small for ranks.
    if abs(correlation) > 1 - 1e-12:
        return -1.0, 1.0
    half = 1.959964 * math.sqrt((1 + correlation**2 / 2) / (count - 3))
    centre = math.atanh(correlation)
    return math.tanh(centre - half), math.tanh(centre + half)


def _compare(name: str, levels: list[Level]) -> ChoiceEffect:
    ordered = tuple(sorted(levels, key=lambda level: -level.mean))
    several = [level for level in ordered if len(level.aucs) >= LEAST_PER_LEVEL]
    if len(several) < 2:
        return ChoiceEffect(name, ordered, None, None, None)
    best, worst = several[0], several[-1]
    low, high = _welch(best.aucs, worst.aucs)
    return ChoiceEffect(name, ordered, best.mean - worst.mean, low, high)


def _welch(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, float]:
    """95 % interval of the difference of two means, by Welch 1947."""
    from scipy import stats

    if len(set(first)) == len(set(second)) == 1:  # Without spread scipy warns and may return nan.
        return first[0] - second[0], first[0] - second[0]
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)
