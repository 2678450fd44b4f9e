"""The stratified bootstrap of samples: intervals of an AUC and of a difference of two without a variance formula.

Positives are resampled from the positives and negatives from the negatives, so every resample has both classes. With
several labels whole samples are resampled, with all their labels; a label that lacks a class in a resample is left out
of that resample's mean, and a resample in which all labels lack one is left out of the interval. All networks see the
same resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hpo.statistics.auc import Array
from hpo.statistics.delong import degenerate_half_width
from hpo.statistics.intervals import CONFIDENCE, ZERO_TOLERANCE, Comparison, Estimate, check_confidence
from hpo.statistics.network_metrics import NetworkMetrics, check_scores, labels_with_both_classes, network_aucs
from hpo.statistics.t_intervals import proportion_estimate, t_p_value, t_quantile

Method = Literal["bca", "expanded"]

MIN_RESAMPLES = 100
"""Number of resamples below which the ends of an interval would be mere chance."""

MAX_COUNTS = 4_000_000
"""Largest table of resampling counts (samples x resamples, int64) that is held at a time: 32 MB."""


def bootstrap_aucs(scores: Array, labels: Array, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Compute the AUC of each network on each resample, exact with ties; for several labels, the mean AUC.

    Args:
        scores: (K, N) or (K, N, L), larger means more positive.
        labels: (N,) or (N, L), 0 or 1.
        seed: the same seed gives the same resamples.

    Returns:
        (K, resamples) floats; nan in a resample in which no label has both classes, of several labels only.

    Raises:
        OneClassError: if no label has both classes.
        ValueError: as `network_aucs`, and for fewer than one resample.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; must be at least 1")
    check_scores(scores, labels)
    labels_with_both_classes(labels)
    random = np.random.default_rng(seed)
    step = max(1, MAX_COUNTS // labels.shape[0])
    chunks = [min(step, resamples - start) for start in range(0, resamples, step)]
    areas = _stratified_areas if labels.ndim == 1 else _mean_areas
    return np.concatenate([areas(scores, labels, size, random) for size in chunks], axis=1)


def bootstrap_interval(
    scores: Array,
    labels: Array,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    method: Method = "bca",
) -> Estimate:
    """Compute the AUC of fixed networks with a stratified bootstrap interval over test samples.

    The standard error is the standard deviation over resamples. A ranking without spread, or whose spread cannot be
    seen since a class has one sample, which every resample draws, has the interval of
    `t_intervals.proportion_estimate`.

    Args:
        scores: (N,) or (N, L) of one network, or (K, N[, L]) of K networks, whose mean AUC is estimated.
        labels: (N,) or (N, L), 0 or 1.
        method: "bca" corrects the percentiles for bias and for a standard error that changes with the AUC; "expanded"
            widens them for small samples, see `Expansion`.

    Raises:
        OneClassError, ValueError: as `bootstrap_aucs`; ValueError for fewer than MIN_RESAMPLES resamples.

    Source: Efron 1987; acceleration of several samples from the influences, Davison and Hinkley 1997, section 5.3.2.
    """
    # scipy.stats.bootstrap draws positives and negatives apart, too, but cannot resample samples of several labels.
    _check(confidence, resamples)
    networks = scores[None] if scores.ndim == labels.ndim else scores
    mean = network_aucs(networks, labels).mean_over_networks()
    areas = _known(bootstrap_aucs(networks, labels, resamples, seed).mean(axis=0))
    error = 0.0 if mean.is_alone().any() else float(areas.std(ddof=1))
    if error <= ZERO_TOLERANCE:
        return proportion_estimate(mean.mean, 0.0, mean.binomial_n, confidence, math.inf, "plain")
    if method == "expanded":
        tails = Expansion.fit(mean, labels).tails(confidence)
    else:
        tails = _bca_tails(areas, mean.mean, _bootstrap_influences(mean, labels), confidence)
    low, high = np.quantile(areas, tails)
    return Estimate(mean.mean, error, float(low), float(high), confidence)


def bootstrap_difference(
    first: Array, second: Array, labels: Array, resamples: int = 2000, seed: int = 0, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare the AUCs of fixed networks (first minus second) by the paired bootstrap over test samples.

    The interval is expanded, see `Expansion`: the coverage of plain percentiles and of BCa is too low
    (`benchmarks/coverage.py`). The p-value is the smaller share of resamples on one side of zero, expanded likewise;
    those at zero count on both sides, and one resample is added to each so that p is never 0. With one sample of a
    class, as without spread, the interval is all that is possible.

    Args:
        first, second: scores, (N,) or (N, L) of one network each, or (K, N[, L]) of several, whose mean AUCs are
            compared; the numbers of networks may differ.
        labels: (N,) or (N, L), 0 or 1.

    Raises:
        OneClassError, ValueError: as `bootstrap_interval`.
    """
    _check(confidence, resamples)
    one, other = (scores[None] if scores.ndim == labels.ndim else scores for scores in (first, second))
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(f"scores are {first.shape} and {second.shape}; a paired bootstrap needs the same samples")
    areas = bootstrap_aucs(np.concatenate([one, other]), labels, resamples, seed)
    differences = _known(areas[: one.shape[0]].mean(axis=0) - areas[one.shape[0] :].mean(axis=0))
    left, right = network_aucs(one, labels).mean_over_networks(), network_aucs(other, labels).mean_over_networks()
    difference, error = left.mean - right.mean, 0.0 if left.is_alone().any() else float(differences.std(ddof=1))
    if error <= ZERO_TOLERANCE:
        half_width = degenerate_half_width(left, right)
        p = 1.0 if abs(difference) <= ZERO_TOLERANCE else math.nan
        return Comparison(difference, 0.0, -half_width, half_width, p, confidence)
    influences = left.influences - right.influences
    paired = NetworkMetrics(left.values - right.values, influences, left.binomial_n, left.strata)
    expansion = Expansion.fit(paired, labels)
    low, high = np.quantile(differences, expansion.tails(confidence))
    below, above = int((differences <= ZERO_TOLERANCE).sum()), int((differences >= -ZERO_TOLERANCE).sum())
    p = expansion.p_value((min(below, above) + 1) / (differences.size + 1))
    return Comparison(difference, error, float(low), float(high), p, confidence, expansion.degrees)


@dataclass(frozen=True)
class Expansion:
    """By how much the percentiles of an interval are moved outwards for small samples.

    For several labels, where samples are not stratified, there is no expansion: factor 1, infinite degrees.

    Attributes:
        factor: DeLong's standard error over that of the bootstrap, whose variance is too small by (n - 1) / n in each
            class of n samples.
        degrees: degrees of freedom of Student's t, from the two classes.

    Source: expanded percentiles, Hesterberg 2015 (Am. Statistician 69:371), here for two classes.
    """

    factor: float
    degrees: float

    @classmethod
    def fit(cls, metrics: NetworkMetrics, labels: Array) -> Expansion:
        """Compute the expansion of one value, or of a difference of two, that has spread."""
        bootstrap_error = float(np.linalg.norm(_bootstrap_influences(metrics, labels)))
        factor = float(np.linalg.norm(metrics.influences)) / bootstrap_error if bootstrap_error else 1.0
        return cls(factor, metrics.degrees_of_freedom())

    def tails(self, confidence: float) -> tuple[float, float]:
        """Return the two probabilities at whose quantiles the interval ends."""
        z = self.factor * t_quantile(confidence, self.degrees)
        return float(special.ndtr(-z)), float(special.ndtr(z))

    def p_value(self, share: float) -> float:
        """Return the two-sided p-value from the share of resamples on the smaller side of zero, above 0."""
        return 1.0 if share >= 1 / 2 else t_p_value(special.ndtri(share) / self.factor, self.degrees)


def _check(confidence: float, resamples: int) -> None:
    check_confidence(confidence)
    if resamples < MIN_RESAMPLES:
        raise ValueError(f"resamples is {resamples}; an interval needs at least {MIN_RESAMPLES}, and 2000 are usual")


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out resamples without a value; with both classes in the samples at least every second one has one."""
    return values[~np.isnan(values)]


def _bca_tails(
    areas: NDArray[np.float64], value: float, influences: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """Return BCa's two probabilities: bias from the median, ties halved, and acceleration sum l^3 / 6."""
    below = (areas < value - ZERO_TOLERANCE).mean() + (np.abs(areas - value) <= ZERO_TOLERANCE).mean() / 2
    bias = special.ndtri(np.clip(below, 0.5 / areas.size, 1 - 0.5 / areas.size))
    squares = float(np.square(influences).sum())
    # Without influences areas vary only by the labels that a resample lacks.
    acceleration = float((influences**3).sum()) / (6 * squares**1.5) if squares else 0.0
    z = bias + special.ndtri([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = special.ndtr(bias + z / (1 - acceleration * z))
    return float(low), float(high)


def _bootstrap_influences(mean: NetworkMetrics, labels: Array) -> NDArray[np.float64]:
    """Return the (N,) influences on a mean with the bootstrap's divisors, n in each class instead of DeLong's n - 1."""
    influences = mean.influences[0].copy()
    if labels.ndim == 1:
        for label in (0, 1):
            count = int((labels == label).sum())
            influences[labels == label] *= math.sqrt((count - 1) / count)
    return np.asarray(influences)


def resample_counts(samples: int, resamples: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw resamples with replacement; return how often each sample is in each, (samples, resamples)."""
    # In this order the later sums over samples run along memory.
    places = random.integers(samples, size=(samples, resamples)) * resamples + np.arange(resamples)
    return np.bincount(places.ravel(), minlength=samples * resamples).reshape(samples, resamples)


def _stratified_areas(scores: Array, labels: Array, resamples: int, random: np.random.Generator) -> NDArray[np.float64]:
    positives, negatives = (resample_counts(int((labels == label).sum()), resamples, random) for label in (1, 0))
    return weighted_areas(scores, labels, positives, negatives)


def _mean_areas(scores: Array, labels: Array, resamples: int, random: np.random.Generator) -> NDArray[np.float64]:
    counts = resample_counts(labels.shape[0], resamples, random)
    total, labels_counted = np.zeros((scores.shape[0], resamples)), np.zeros(resamples)
    for label in labels_with_both_classes(labels):
        column = labels[:, label]
        areas = weighted_areas(scores[..., label], column, counts[column == 1], counts[column == 0])
        total += np.nan_to_num(areas)
        labels_counted += ~np.isnan(areas[0])
    return np.where(labels_counted > 0, total / np.maximum(labels_counted, 1), np.nan)


def weighted_areas(
    scores: Array, labels: Array, positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the AUC of each network on each resample, exact with ties; nan without a positive or a negative.

    Args:
        scores: (K, N), larger means more positive.
        labels: (N,) 0 or 1.
        positives: (P, resamples) how often each positive sample was drawn.
        negatives: (N - P, resamples) how often each negative sample was drawn.

    Returns:
        (K, resamples) floats.
    """
    pairs = positives.sum(axis=0) * negatives.sum(axis=0)
    areas = np.full((scores.shape[0], pairs.size), np.nan)
    is_negative, is_positive = labels == 0, labels == 1
    below = np.zeros((negatives.shape[0] + 1, pairs.size), dtype=np.int64)
    for network, row in enumerate(scores):
        ordered, wanted = row[is_negative], row[is_positive]
        order = np.argsort(ordered, kind="stable")
        ordered = ordered[order]
        np.cumsum(negatives[order], axis=0, out=below[1:])
        first, last = (np.searchsorted(ordered, wanted, side=side) for side in ("left", "right"))
        # Twice the number below, without a second look where no score is tied.
        twice_below = 2 * below[first] if np.array_equal(first, last) else below[first] + below[last]
        doubled = np.einsum("pd,pd->d", positives, twice_below)
        np.divide(doubled, 2 * pairs, out=areas[network], where=pairs > 0)
    return areas
