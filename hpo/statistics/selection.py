"""Selection accounted for: the winner of a search is compared as the best of all that were tried.

New folds of the same samples remove the luck of folds and seeds, but not that of the samples: a configuration that
happens to suit these samples is chosen by the search, and is confirmed on them. So the winner's difference to a
baseline is held against its distribution under the assumption that all configurations tried are equally good: the
search picks the best, the confirmation picks the best of those. That is Dunnett's test, of as many treatments as the
search tried, less what new folds and seeds average out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hpo.statistics.auc import Array
from hpo.statistics.intervals import CONFIDENCE, ZERO_TOLERANCE, Comparison, check_confidence
from hpo.statistics.moderated_variance import VariancePrior
from hpo.statistics.network_metrics import network_aucs

MOST_DRAWS, LEAST_DRAWS, VALUES = 20_000, 4_000, 4_000_000
"""Number of simulated searches from which a quantile is taken, fewer for more configurations; and the normal values
that this takes. The standard error of the quantile is then .02 to .04."""

MOST_TRIED = 5_000
"""More configurations count as this many; the quantile grows by .2 for ten times as many."""

_SHARES = 20
"""Shares of noise are rounded down to multiples of 1 / _SHARES: the quantile can only become larger."""


@dataclass(frozen=True)
class Selection:
    """How a winner was selected.

    Attributes:
        tried: configurations of the search, from which the best were confirmed.
        confirmed: the best of them, of which the one with the highest confirmed mean is the winner.
        baselines: fixed configurations that the winner is compared with.
        repeats: of the confirmation.
    """

    tried: int
    confirmed: int
    baselines: int
    repeats: int

    def __post_init__(self) -> None:
        """Raise ValueError for counts that no search has."""
        if min(self.tried, self.confirmed, self.baselines, self.repeats) < 1:
            raise ValueError(f"{self}: every count must be at least 1")


@dataclass(frozen=True)
class Optimism:
    """By how much a winner's mean exceeds its true value if all configurations tried are equally good, in AUC.

    If the winner truly stands out, by less; so the true optimism lies between 0 and `most`.

    Attributes:
        expected: mean.
        most: 97.5 % quantile.
    """

    expected: float
    most: float


def selected_comparison(
    found: Comparison, selection: Selection, noise_share: float = 0.0, confidence: float = CONFIDENCE
) -> Comparison:
    """Widen the interval of a difference of two confirmed configurations by how they were selected.

    The intervals of all candidates against all baselines hold together, with this confidence. The p-value is left as
    it is; it is that of two configurations chosen beforehand.

    Args:
        found: with standard error and degrees of freedom.
        noise_share: share of the variance that other folds and seeds would average out, between 0 and 1; 0, the
            default, is the safe assumption that all of it is due to the samples.

    Source: Dunnett 1955, with the quantile simulated through both steps of the selection.
    """
    if found.error <= ZERO_TOLERANCE:
        return found
    reach = selection_quantile(selection, noise_share, found.degrees, confidence) * found.error
    low, high = found.difference - reach, found.difference + reach
    return Comparison(found.difference, found.error, low, high, found.p, confidence, found.degrees)


def selection_quantile(
    selection: Selection, noise_share: float = 0.0, degrees: float = math.inf, confidence: float = CONFIDENCE
) -> float:
    """Return the t that the winner minus the worst baseline exceeds with probability (1 - confidence) / 2 by selection.

    Never less than Student's quantile of two configurations chosen beforehand.

    Args:
        noise_share: as `selected_comparison`.
        degrees: of freedom of the standard error.
    """
    check_confidence(confidence)
    winners = _null(selection, _rounded(noise_share))
    gaps = (winners[0] - winners[1]) / math.sqrt(2)
    tail = (1 - confidence) / 2
    if math.isfinite(degrees):
        # The same probabilities for all degrees of freedom, so that the quantile falls as they grow.
        shares = np.random.default_rng(1).random(gaps.size)
        gaps = gaps / np.sqrt(special.chdtri(degrees, shares) / degrees)
    student = -float(special.stdtrit(degrees, tail))
    return max(student, float(np.quantile(gaps, 1 - tail)))


def winner_optimism(selection: Selection, error: float, noise_share: float = 0.0) -> Optimism:
    """Estimate the optimism that selection leaves in the confirmed mean of a winner.

    Args:
        error: standard error of the difference of two configurations; each has half its variance of its own.
        noise_share: as `selected_comparison`.
    """
    winners, _ = _null(selection, _rounded(noise_share))
    own = error / math.sqrt(2)
    return Optimism(max(float(winners.mean()), 0.0) * own, float(np.quantile(winners, 0.975)) * own)


def repeated_difference(
    differences: Array,
    influences: Array,
    folds: int,
    confidence: float = CONFIDENCE,
    prior: VariancePrior | None = None,
) -> tuple[Comparison, float]:
    """Compare two configurations over repeats of cross-validation, with the influence of each sample known.

    The variance is that of the mean over repeats, which other folds and seeds would average out, plus the covariance
    of two repeats over samples, which they would not: Obuchowski and Rockette's analysis, a repeat in place of a
    reader. The covariance is that of validation samples; other samples would train other networks, too, for which it is
    enlarged by k / (k - 1), as the corrected resampled t-test does. That test has fold AUCs only and enlarges both.

    Args:
        differences: (R,) first minus second, mean over the folds of each of R >= 2 repeats.
        influences: (R, N) of each sample on that difference, so that sums of products are covariances.
        folds: number k of folds in each repeat, at least 2.
        prior: moderates the variance over repeats, where many configurations are compared.

    Returns:
        The comparison, and the share of its variance that other folds and seeds would average out.

    Raises:
        ValueError: for fewer than two repeats, or arrays that do not belong together.

    Source: Obuchowski and Rockette 1995; k / (k - 1): Nadeau and Bengio 2003, for many repeats of k folds.
    """
    repeats = len(differences)
    if repeats < 2 or influences.shape[:1] != (repeats,):
        raise ValueError(f"{repeats} differences and influences of shape {influences.shape}; expected R >= 2 of each")
    variance, degrees = float(differences.var(ddof=1)), float(repeats - 1)
    if prior is not None:
        variance, degrees = prior.moderate(variance, degrees)
    noise = variance / repeats
    products = influences @ influences.T
    covariance = max(float(products.sum() - np.trace(products)) / (repeats * (repeats - 1)), 0.0)
    sampling = covariance * folds / (folds - 1)
    total = noise + sampling
    difference = float(differences.mean())
    if total <= ZERO_TOLERANCE**2:
        return Comparison(difference, 0.0, -1.0, 1.0, math.nan, confidence), 0.0
    uncertainty = noise**2 / degrees + sampling**2 / _degrees_of_samples(influences.mean(axis=0))
    satterthwaite = total**2 / uncertainty if uncertainty else math.inf
    error = math.sqrt(total)
    reach = -float(special.stdtrit(satterthwaite, (1 - confidence) / 2)) * error
    p = 2 * float(special.stdtr(satterthwaite, -abs(difference) / error))
    found = Comparison(difference, error, difference - reach, difference + reach, p, confidence, satterthwaite)
    return found, noise / total


def fold_influences(folds: Sequence[tuple[NDArray[np.int64], Array, Array]], size: int) -> NDArray[np.float64]:
    """Return the influence of each of `size` samples on the mean AUC over folds, (size,), of one trained configuration.

    Args:
        folds: of each, the indices of its validation samples, (n,), their labels and their scores, (n,) or (n, L).

    Raises:
        OneClassError, ValueError: as `network_aucs`.
    """
    total = np.zeros(size)
    for samples, labels, scores in folds:
        total[samples] += network_aucs(scores[None], labels).influences[0] / len(folds)
    return total


def noise_share(tables: Sequence[Array], error: float) -> float:
    """Estimate the share of the variance of a confirmed difference that other folds and seeds would average out.

    Args:
        tables: AUCs of each configuration, (R, k), on the same folds.
        error: standard error of the difference of two of them.

    Returns:
        The interaction of configurations and repeats, for the mean over repeats, relative to error^2; 0 for fewer than
        two repeats or configurations, where it is not known.
    """
    means = np.stack([table.mean(axis=1) for table in tables])
    configurations, repeats = means.shape
    if min(configurations, repeats) < 2 or error <= ZERO_TOLERANCE:
        return 0.0
    rest = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    variance = np.square(rest).sum() / ((configurations - 1) * (repeats - 1))
    return float(min(2 * variance / (repeats * error**2), 1.0))


def _degrees_of_samples(influences: NDArray[np.float64]) -> float:
    """Return the degrees of freedom of a variance that is a sum of squared influences, (N,), from their fourth moments.

    Fewer than N where a few samples decide, as between two configurations that rank most samples alike.
    """
    squares = np.square(influences)
    scatter = float(np.square(squares).sum() - squares.sum() ** 2 / squares.size)
    return max(2 * float(squares.sum()) ** 2 / scatter, 1.0) if scatter > 0 else math.inf


def _rounded(share: float) -> float:
    return math.floor(min(max(share, 0.0), 1.0) * _SHARES) / _SHARES


@lru_cache(maxsize=64)
def _null(selection: Selection, share: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Simulate searches of equal configurations: the winner's mean, and the lowest of the baselines, (draws,) each.

    In units of a confirmed mean's own standard deviation.
    """
    random = np.random.default_rng(0)
    tried = min(selection.tried, MOST_TRIED)
    confirmed = min(selection.confirmed, tried)
    persistent, noise = math.sqrt(1 - share), math.sqrt(share)
    draws = min(max(VALUES // tried, LEAST_DRAWS), MOST_DRAWS)
    lowest = random.normal(size=(draws, selection.baselines)).min(axis=1)
    if not noise:  # The best of the search is the best of the confirmation.
        return special.ndtri(random.random(draws) ** (1 / tried)), lowest
    suits = persistent * random.standard_normal((draws, tried), dtype=np.float32)
    if confirmed < tried:
        searched = suits + noise * math.sqrt(selection.repeats) * random.standard_normal(suits.shape, dtype=np.float32)
        best = np.argpartition(-searched, confirmed - 1, axis=1)[:, :confirmed]
        suits = np.take_along_axis(suits, best, axis=1)
    winners = (suits + noise * random.standard_normal(suits.shape, dtype=np.float32)).max(axis=1)
    return winners.astype(np.float64), lowest
