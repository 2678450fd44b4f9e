"""What the trials of a search say about each setting, compared at one epoch that all of them reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.outcome.report.search.evidence import Searched
from hpo.statistics.distributions import two_sided_quantile
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


def choice_effects(search: Searched) -> list[ChoiceEffect]:
    """One for each searched setting with more than one choice, in the order of the space."""
    found = []
    for name, entry in search.spec.space.items():
        if isinstance(entry, Choices) and len(entry.choices) > 1:
            points = points_of(search, name)
            levels = [Level(choice, tuple(auc for value, auc in points if value == choice)) for choice in entry.choices]
            found.append(_compare(name, [level for level in levels if level.aucs]))
    return found


def number_effects(search: Searched) -> list[NumberEffect]:
    """One for each searched range in which at least 5 trials lie, strongest first."""
    found = []
    for name, entry in search.spec.space.items():
        points = points_of(search, name)
        if isinstance(entry, Choices) or len(points) < 5 or len({value for value, _ in points}) < 2:
            continue
        correlation = spearman([value for value, _ in points], [auc for _, auc in points])
        found.append(NumberEffect(name, correlation, *_fisher(correlation, len(points)), len(points)))
    return sorted(found, key=lambda effect: -abs(effect.correlation))


def points_of(search: Searched, setting: str) -> list[tuple[Any, float]]:
    """(value, AUC at the shared epoch) of the trials in which a setting means something; references are left out."""
    return [
        (trial.config[setting], auc)
        for trial, auc in search.at_shared_epoch()
        if not trial.row.reference and applies(setting, trial.config)
    ]


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation with ties at their mean rank; nan if one of them does not vary. Source: Spearman 1904."""
    ranks = [_mean_ranks(np.asarray(values, dtype=float)) for values in (a, b)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _mean_ranks(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2


def _fisher(correlation: float, count: int) -> tuple[float, float]:
    """95 % interval by Fisher's transformation with the variance of Bonett and Wright 2000 for ranks."""
    if not abs(correlation) < 1 or count < 4:
        return -1.0, 1.0
    half = 1.959964 * math.sqrt((1 + correlation**2 / 2) / (count - 3))
    centre = math.atanh(correlation)
    return math.tanh(centre - half), math.tanh(centre + half)


def _compare(name: str, levels: list[Level]) -> ChoiceEffect:
    ordered = tuple(sorted(levels, key=lambda level: -level.mean))
    several = [level for level in ordered if len(level.aucs) >= LEAST_PER_LEVEL]
    if len(several) < 2:
        return ChoiceEffect(name, ordered, None, None, None)
    difference, half = _welch(several[0], several[-1])
    return ChoiceEffect(name, ordered, difference, difference - half, difference + half)


def _welch(best: Level, worst: Level) -> tuple[float, float]:
    """Difference of two means and half the width of its 95 % interval. Source: Welch 1947."""
    parts = [statistics.variance(level.aucs) / len(level.aucs) for level in (best, worst)]
    total = sum(parts)
    if total == 0:
        return best.mean - worst.mean, 0.0
    pairs = zip(parts, (best, worst), strict=True)
    freedom = total**2 / sum(part**2 / (len(level.aucs) - 1) for part, level in pairs)
    return best.mean - worst.mean, two_sided_quantile(0.95, freedom) * math.sqrt(total)
