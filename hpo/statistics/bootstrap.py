"""The stratified bootstrap of rows: intervals of an AUC and of a difference of two, without a formula for the error.

Positives are drawn from the positives and negatives from the negatives, so that every draw has both classes. With
several labels a row carries all of its labels and rows are drawn from all rows; a label that lacks a class in a draw is
left out of that draw's mean. All networks see the same draws.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError
from hpo.statistics.delong import unseen_reach
from hpo.statistics.distributions import normal_cdf, normal_quantile
from hpo.statistics.estimate import CONFIDENCE, SPREADLESS, Comparison, Estimate, check_confidence, share_estimate
from hpo.statistics.measured import Array, Measured, check_scores, labels_with_both_classes, measured_auc

Method = Literal["bca", "percentile"]

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
    method: "percentile" takes the quantiles of the draws; "bca" corrects them for bias and for an error that changes
    with the AUC. error is the standard deviation of the draws. A ranking without spread has the interval of
    `estimate.share_estimate`.
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
    low, high = _ends(areas, measured.mean, _influences(measured, labels), confidence, method)
    return Estimate(measured.mean, error, low, high, confidence)


def bootstrap_difference(
    first: Array,
    second: Array,
    labels: Array,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    method: Method = "percentile",
) -> Comparison:
    """AUC of the first minus that of the second by the paired bootstrap: both are scored on every draw of rows.

    first, second: (N,) or (N, L) of one network each, or (K, N[, L]) of K and of K', whose mean AUCs are meant.
    p: twice the smaller share of draws on one side of zero, those at zero counted on both, one draw added to each
    side so that p is never 0. method, errors and sources: as `bootstrap_interval`; but here "bca" covers less often
    than "percentile", and both less often than `delong.delong_test` (`benchmarks/coverage.py`).
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
    influences = _influences(left, labels) - _influences(right, labels)
    low, high = _ends(differences, difference, influences, confidence, method)
    below, above = int((differences <= SPREADLESS).sum()), int((differences >= -SPREADLESS).sum())
    return Comparison(difference, error, low, high, min(1.0, 2 * (min(below, above) + 1) / (draws + 1)), confidence)


def _check(confidence: float, draws: int) -> None:
    check_confidence(confidence)
    if draws < FEWEST:
        raise ValueError(f"draws is {draws}; an interval needs {FEWEST} or more, and 2000 are usual")


def _ends(
    draws: NDArray[np.float64], value: float, influences: NDArray[np.float64], confidence: float, method: Method
) -> tuple[float, float]:
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        tails = _corrected(tails, draws, value, influences)
    low, high = np.quantile(draws, tails)
    return float(low), float(high)


def _corrected(
    tails: NDArray[np.float64], draws: NDArray[np.float64], value: float, influences: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The quantiles to take in place of `tails`: bias of the median, ties halved, and acceleration sum l^3 / 6."""
    below = (draws < value - SPREADLESS).mean() + (np.abs(draws - value) <= SPREADLESS).mean() / 2
    bias = normal_quantile(float(np.clip(below, 0.5 / draws.size, 1 - 0.5 / draws.size)))
    acceleration = float((influences**3).sum() / (6 * np.square(influences).sum() ** 1.5))
    moved = [bias + normal_quantile(float(tail)) for tail in tails]
    return np.asarray([normal_cdf(bias + z / (1 - acceleration * z)) for z in moved], dtype=np.float64)


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
