"""The stratified bootstrap of rows: intervals of an AUC and of a difference of two, without a formula for the error.

Positives are drawn from the positives and negatives from the negatives, so that every draw has both classes. With
several labels a row carries all of its labels and rows are drawn from all rows; a label that lacks a class in a draw is
left out of that draw's mean. All networks see the same draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError
from hpo.statistics.delong import unseen_reach
from hpo.statistics.distributions import normal_cdf, normal_quantile, two_sided_p, two_sided_quantile
from hpo.statistics.estimate import CONFIDENCE, SPREADLESS, Comparison, Estimate, check_confidence, share_estimate
from hpo.statistics.measured import Array, Measured, check_scores, labels_with_both_classes, measured_auc

Method = Literal["bca", "expanded"]

FEWEST = 100
"""Draws below which the ends of an interval would be mere chance."""

WEIGHTS_AT_ONCE = 4_000_000
"""Entries of the table of how often each row was drawn (rows x draws) that is held at a time: 32 MB."""


def bootstrap_areas(scores: Array, labels: Array, draws: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """AUC of each network in each draw of rows, (K, draws), exact with ties; of several labels, their mean.

    scores: (K, N) or (K, N, L), larger means more positive. labels: (N,) or (N, L), 0 or 1.
    The same seed gives the same draws. Raises as `measured_auc`; OneClassError too if no label has both classes in one
    of the draws; ValueError for fewer than one draw.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}; give 1 or more")
    check_scores(scores, labels)
    labels_with_both_classes(labels)
    random = np.random.default_rng(seed)
    step = max(1, WEIGHTS_AT_ONCE // labels.shape[0])
    chunks = [min(step, draws - start) for start in range(0, draws, step)]
    areas = _stratified_areas if labels.ndim == 1 else _mean_areas
    return np.concatenate([areas(scores, labels, size, random) for size in chunks], axis=1)


def bootstrap_interval(
    scores: Array,
    labels: Array,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    method: Method = "bca",
) -> Estimate:
    """AUC with an interval by the stratified bootstrap: given networks, other rows.

    scores: (N,) or (N, L) of one network, or (K, N[, L]) of K, whose mean AUC is meant. labels: (N,) or (N, L).
    method: "bca" corrects the quantiles of the draws for bias and for an error that changes with the AUC; "expanded"
    takes them farther out, as few rows ask for, see `Expansion`. error is the standard deviation of the draws. A
    ranking without spread has the interval of `estimate.share_estimate`.
    Raises as `bootstrap_areas`, and ValueError for fewer than 100 draws. Source: Efron 1987; acceleration of several
    samples from the influence of each row, Davison and Hinkley 1997, section 5.3.2.
    """
    _check(confidence, draws)
    networks = scores[None] if scores.ndim == labels.ndim else scores
    measured = measured_auc(networks, labels).averaged()
    areas = bootstrap_areas(networks, labels, draws, seed).mean(axis=0)
    error = float(areas.std(ddof=1))
    if error <= SPREADLESS:
        return share_estimate(measured.mean, 0.0, measured.throws, confidence, math.inf, "plain")
    low, high = np.quantile(areas, _tails(areas, measured, labels, confidence, method))
    return Estimate(measured.mean, error, float(low), float(high), confidence)


def bootstrap_difference(
    first: Array, second: Array, labels: Array, draws: int = 2000, seed: int = 0, confidence: float = CONFIDENCE
) -> Comparison:
    """AUC of the first minus that of the second by the paired bootstrap: both are scored on every draw of rows.

    first, second: (N,) or (N, L) of one network each, or (K, N[, L]) of K and of K', whose mean AUCs are meant.
    The interval is expanded, see `Expansion`: plain quantiles and BCa's cover too seldom (`benchmarks/coverage.py`).
    p: from the smaller share of draws on one side of zero, those at zero counted on both, one draw added to each side
    so that p is never 0, through the same expansion. Errors and sources: as `bootstrap_interval`.
    """
    _check(confidence, draws)
    one, other = (scores[None] if scores.ndim == labels.ndim else scores for scores in (first, second))
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(f"scores are {first.shape} and {second.shape}; a paired bootstrap needs the same rows")
    areas = bootstrap_areas(np.concatenate([one, other]), labels, draws, seed)
    differences = areas[: one.shape[0]].mean(axis=0) - areas[one.shape[0] :].mean(axis=0)
    left, right = measured_auc(one, labels).averaged(), measured_auc(other, labels).averaged()
    difference, error = left.mean - right.mean, float(differences.std(ddof=1))
    if error <= SPREADLESS:
        reach = unseen_reach(left, right)
        p = 1.0 if abs(difference) <= SPREADLESS else math.nan
        return Comparison(difference, 0.0, -reach, reach, p, confidence)
    apart = Measured(left.values - right.values, left.influences - right.influences, left.throws, left.strata)
    expansion = Expansion.of(apart, labels)
    low, high = np.quantile(differences, expansion.tails(confidence))
    below, above = int((differences <= SPREADLESS).sum()), int((differences >= -SPREADLESS).sum())
    p = expansion.p((min(below, above) + 1) / (draws + 1))
    return Comparison(difference, error, float(low), float(high), p, confidence, expansion.degrees)


@dataclass(frozen=True)
class Expansion:
    """How much farther out than the draws say the ends of an interval lie, since rows are few.

    factor: DeLong's error over that of the draws, whose variance is too small by (n - 1) / n in each class. degrees: of
    Student's t, from the two classes. With several labels, where rows are drawn from all rows: 1 and infinity.
    Source: Hesterberg 2015 (Am. Statistician 69:371), expanded percentiles, here for two classes of rows.
    """

    factor: float
    degrees: float

    @classmethod
    def of(cls, measured: Measured, labels: Array) -> Expansion:
        """Of one value, or a difference of two, that has spread."""
        drawn, honest = (float(np.linalg.norm(part)) for part in (_influences(measured, labels), measured.influences))
        return cls(honest / drawn if drawn else 1.0, measured.degrees())

    def tails(self, confidence: float) -> tuple[float, float]:
        """The shares of draws at whose quantiles the interval ends."""
        reach = self.factor * two_sided_quantile(confidence, self.degrees)
        return normal_cdf(-reach), normal_cdf(reach)

    def p(self, share: float) -> float:
        """Two-sided p where the smaller side of zero holds this share of the draws, above 0."""
        return 1.0 if share >= 1 / 2 else two_sided_p(normal_quantile(share) / self.factor, self.degrees)


def _check(confidence: float, draws: int) -> None:
    check_confidence(confidence)
    if draws < FEWEST:
        raise ValueError(f"draws is {draws}; an interval needs {FEWEST} or more, and 2000 are usual")


def _tails(
    draws: NDArray[np.float64], measured: Measured, labels: Array, confidence: float, method: Method
) -> tuple[float, float]:
    """The shares of draws at whose quantiles the interval of a mean AUC ends."""
    if method == "expanded":
        return Expansion.of(measured, labels).tails(confidence)
    return _corrected(draws, measured.mean, _influences(measured, labels), confidence)


def _corrected(
    draws: NDArray[np.float64], value: float, influences: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """BCa's shares: bias from the median, ties halved, and acceleration sum l^3 / 6."""
    below = (draws < value - SPREADLESS).mean() + (np.abs(draws - value) <= SPREADLESS).mean() / 2
    bias = normal_quantile(float(np.clip(below, 0.5 / draws.size, 1 - 0.5 / draws.size)))
    acceleration = float((influences**3).sum() / (6 * np.square(influences).sum() ** 1.5))
    low, high = (
        normal_cdf(bias + z / (1 - acceleration * z))
        for share in ((1 - confidence) / 2, (1 + confidence) / 2)
        for z in (bias + normal_quantile(share),)
    )
    return low, high


def _influences(measured: Measured, labels: Array) -> NDArray[np.float64]:
    """Influence of each row of a mean, (N,), with the divisors of the bootstrap (n) in place of DeLong's (n - 1)."""
    influences = measured.influences[0].copy()
    if labels.ndim == 1:
        for label in (0, 1):
            count = int((labels == label).sum())
            influences[labels == label] *= math.sqrt((count - 1) / count)
    return np.asarray(influences)


def _drawn(rows: int, draws: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each of `rows` rows was drawn, (rows, draws): so the sums over rows run along memory."""
    places = random.integers(rows, size=(rows, draws)) * draws + np.arange(draws)
    return np.bincount(places.ravel(), minlength=rows * draws).reshape(rows, draws)


def _stratified_areas(scores: Array, labels: Array, draws: int, random: np.random.Generator) -> NDArray[np.float64]:
    positives, negatives = (_drawn(int((labels == label).sum()), draws, random) for label in (1, 0))
    return _areas(scores, labels, positives, negatives)


def _mean_areas(scores: Array, labels: Array, draws: int, random: np.random.Generator) -> NDArray[np.float64]:
    weights = _drawn(labels.shape[0], draws, random)
    total, counted = np.zeros((scores.shape[0], draws)), np.zeros(draws)
    for label in labels_with_both_classes(labels):
        column = labels[:, label]
        areas = _areas(scores[..., label], column, weights[column == 1], weights[column == 0])
        total += np.nan_to_num(areas)
        counted += ~np.isnan(areas[0])
    if not counted.all():
        raise OneClassError(
            f"no label had both classes in a draw of {labels.shape[0]} rows; these are too few to draw from"
        )
    return np.asarray(total / counted)


def _areas(
    scores: Array, labels: Array, positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> NDArray[np.float64]:
    """AUC of each network, (K, draws), from how often each positive and each negative was drawn; nan without either."""
    pairs = positives.sum(axis=0) * negatives.sum(axis=0)
    areas = np.full((scores.shape[0], pairs.size), np.nan)
    for network, row in enumerate(scores):
        order = np.argsort(row[labels == 0], kind="stable")
        ordered, wanted = row[labels == 0][order], row[labels == 1]
        below = np.zeros((order.size + 1, pairs.size), dtype=np.int64)
        np.cumsum(negatives[order], axis=0, out=below[1:])
        first, last = (np.searchsorted(ordered, wanted, side=side) for side in ("left", "right"))
        doubled = np.einsum("pd,pd->d", positives, below[first] + below[last])
        np.divide(doubled, 2 * pairs, out=areas[network], where=pairs > 0)
    return areas
