"""Estimate the effect of each setting from trials compared at one epoch that all of them reached."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.study.space import Choices

LEAST_PER_LEVEL = 2


@dataclass(frozen=True)
class Level:
    """The trials with one value of a setting."""

    value: Any
    aucs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean AUC of its trials."""
        return statistics.fmean(self.aucs)

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean over trials; None for a single trial."""
        return statistics.stdev(self.aucs) / math.sqrt(len(self.aucs)) if len(self.aucs) > 1 else None


@dataclass(frozen=True)
class ChoiceEffect:
    """The effect of a setting with choices.

    Attributes:
        levels: best mean first.
        difference, low, high: of the best and the worst level with at least LEAST_PER_LEVEL trials, with Welch's 95 %
            interval; None if there are not two such levels.
    """

    setting: str
    levels: tuple[Level, ...]
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class NumberEffect:
    """The effect of a setting with a range: Spearman's correlation with AUC over `count` trials, with 95 % interval."""

    setting: str
    correlation: float
    low: float
    high: float
    count: int


def choice_effects(search: SearchEvidence) -> list[ChoiceEffect]:
    """Return the effect of each searched setting with more than one choice, in the order of the space."""
    found = []
    for name, entry in search.spec.space.items():
        if isinstance(entry, Choices) and len(entry.choices) > 1:
            points = search.points[name]
            levels = [Level(choice, tuple(auc for value, auc in points if value == choice)) for choice in entry.choices]
            found.append(_compare(name, [level for level in levels if level.aucs]))
    return found


def number_effects(search: SearchEvidence) -> list[NumberEffect]:
    """Return the effect of each searched range, strongest first.

    Left out: ranges with fewer than 5 trials, or without variation of setting or AUC.
    """
    from scipy import stats  # Imported late: takes 0.7 s, and `hpo dashboard` needs no effects.

    found = []
    for name, entry in search.spec.space.items():
        points = search.points[name]
        if isinstance(entry, Choices) or len(points) < 5:
            continue
        values, aucs = zip(*points, strict=True)
        if len(set(values)) < 2 or len(set(aucs)) < 2:
            continue
        correlation = float(stats.spearmanr(values, aucs).statistic)
        found.append(NumberEffect(name, correlation, *_fisher(correlation, len(points)), len(points)))
    return sorted(found, key=lambda effect: -abs(effect.correlation))


def _fisher(correlation: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval by Fisher's z transformation, with Bonett and Wright's (2000) variance for ranks."""
    # scipy.stats.pearsonr uses Fisher's own variance, which is too small for ranks.
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
    """Return the 95 % interval of the difference of two means, by Welch 1947."""
    from scipy import stats

    if len(set(first)) == len(set(second)) == 1:  # Without variation scipy warns and may return nan.
        return first[0] - second[0], first[0] - second[0]
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)
