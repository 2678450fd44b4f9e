"""Estimate the effect of each setting from trials compared at one epoch that all of them reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.study.space import Choices

LEAST_PER_LEVEL = 5
"""Number of trials with one value of a setting from which their mean is compared: of fewer, the spread is not known."""

LEAST_IN_RANGE = 5


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
        difference, low, high: of the best and the worst level with at least LEAST_PER_LEVEL trials, with Welch's
            interval; None if there are not two such levels. The intervals of all effects of a search hold together
            with 95 % (Bonferroni, over all pairs of levels and all ranges).
    """

    setting: str
    levels: tuple[Level, ...]
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class NumberEffect:
    """The effect of a setting with a range: Spearman's correlation with AUC over `count` trials.

    low, high: interval, as in `ChoiceEffect`.
    """

    setting: str
    correlation: float
    low: float
    high: float
    count: int


def choice_effects(search: SearchEvidence) -> list[ChoiceEffect]:
    """Return the effect of each searched setting with more than one choice, in the order of the space."""
    confidence = _confidence(search)
    return [_compare(name, levels, confidence) for name, levels in _levels(search).items()]


def number_effects(search: SearchEvidence) -> list[NumberEffect]:
    """Return the effect of each searched range, strongest first.

    Left out: ranges with fewer than LEAST_IN_RANGE trials, or without variation of setting or AUC.
    """
    from scipy import stats  # Imported late: takes 0.7 s, and `hpo dashboard` needs no effects.

    found = []
    for name in _ranges(search):
        values, aucs = zip(*search.points[name], strict=True)
        correlation = float(stats.spearmanr(values, aucs).statistic)
        interval = _fisher(correlation, len(values), _confidence(search))
        found.append(NumberEffect(name, correlation, *interval, len(values)))
    return sorted(found, key=lambda effect: -abs(effect.correlation))


def comparisons(search: SearchEvidence) -> int:
    """Count what is looked at: the pairs of levels of all settings, and the ranges."""
    pairs = sum(math.comb(len(_several(levels)), 2) for levels in _levels(search).values())
    return pairs + len(_ranges(search))


def _confidence(search: SearchEvidence) -> float:
    return 1 - 0.05 / max(comparisons(search), 1)


def _levels(search: SearchEvidence) -> dict[str, list[Level]]:
    """Return the levels that occurred of each searched setting with more than one choice, in the order of the space."""
    found = {}
    for name, entry in search.spec.space.items():
        if isinstance(entry, Choices) and len(entry.choices) > 1:
            points = search.points[name]
            levels = [Level(choice, tuple(auc for value, auc in points if value == choice)) for choice in entry.choices]
            found[name] = [level for level in levels if level.aucs]
    return found


def _several(levels: Sequence[Level]) -> list[Level]:
    return [level for level in levels if len(level.aucs) >= LEAST_PER_LEVEL]


def _ranges(search: SearchEvidence) -> list[str]:
    """Return the searched ranges whose correlation with AUC can be estimated."""
    found = []
    for name, entry in search.spec.space.items():
        points = search.points[name]
        if isinstance(entry, Choices) or len(points) < LEAST_IN_RANGE:
            continue
        if all(len(set(column)) > 1 for column in zip(*points, strict=True)):
            found.append(name)
    return found


def _fisher(correlation: float, count: int, confidence: float) -> tuple[float, float]:
    """Return the interval by Fisher's z transformation, with Bonett and Wright's (2000) variance for ranks."""
    # scipy.stats.pearsonr uses Fisher's own variance, which is too small for ranks.
    if abs(correlation) > 1 - 1e-12:
        return -1.0, 1.0
    half = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + correlation**2 / 2) / (count - 3))
    centre = math.atanh(correlation)
    return math.tanh(centre - half), math.tanh(centre + half)


def _compare(name: str, levels: list[Level], confidence: float) -> ChoiceEffect:
    ordered = tuple(sorted(levels, key=lambda level: -level.mean))
    several = _several(ordered)
    if len(several) < 2:
        return ChoiceEffect(name, ordered, None, None, None)
    best, worst = several[0], several[-1]
    low, high = _welch(best.aucs, worst.aucs, confidence)
    return ChoiceEffect(name, ordered, best.mean - worst.mean, low, high)


def _welch(first: tuple[float, ...], second: tuple[float, ...], confidence: float) -> tuple[float, float]:
    """Return the interval of the difference of two means, by Welch 1947; all that is possible without variation."""
    from scipy import stats

    if len(set(first)) == len(set(second)) == 1:  # Without variation scipy warns and may return nan.
        return -1.0, 1.0
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    return float(interval.low), float(interval.high)
