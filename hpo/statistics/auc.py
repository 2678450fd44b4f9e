"""The area under the ROC curve (AUC), exact with ties, and its standard error by DeLong's method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class OneClassError(ValueError):
    """All labels are equal, so there is no pair of a positive and a negative to rank."""


def auc(scores: Array, labels: Array) -> float:
    """Compute the AUC: the share of (positive, negative) pairs that are ranked correctly; a tie counts one half.

    Args:
        scores: (N,) numbers, larger means more positive.
        labels: (N,) 0 or 1.

    Raises:
        OneClassError: if all labels are equal.
        ValueError: for nan among the scores, other labels than 0 and 1, or arrays of unequal shape.
    """
    _check(scores, labels, dimensions=1)
    return auc_and_influences(scores, labels)[0]


def mean_auc_with_error(scores: Array, labels: Array) -> tuple[float, float]:
    """Compute the mean AUC over the labels that have both classes, and its standard error.

    The labels of a sample are drawn together, so its influences on the AUCs of all labels are summed before they are
    squared: DeLong's covariance, extended to labels with different positives. For L = 1 it is DeLong's own.

    Args:
        scores: (N, L) numbers, larger means more positive.
        labels: (N, L) 0 or 1.

    Raises:
        OneClassError: if no label has both classes.
        ValueError: as `auc`.

    Source: DeLong et al. 1988; O(N log N) form of Sun and Xu 2014.
    """
    _check(scores, labels, dimensions=2)
    positives = labels.sum(axis=0, dtype=np.int64)
    both = np.flatnonzero((positives > 0) & (positives < labels.shape[0]))
    if not both.size:
        raise OneClassError(f"none of {labels.shape[1]} labels has both classes among {labels.shape[0]} samples")
    areas = []
    total = np.zeros(labels.shape[0])
    for column, classes in zip(np.ascontiguousarray(scores.T[both]), np.ascontiguousarray(labels.T[both]), strict=True):
        area, influences = auc_and_influences(column, classes)
        areas.append(area)
        total += influences
    return float(np.mean(areas)), float(np.sqrt(np.square(total).sum()) / both.size)


def mean_weighted_auc(scores: Array, labels: Array, weights: Array) -> float:
    """Compute the mean AUC over the labels that have both classes, where samples have weights.

    The AUC of a label is the weighted share of (positive, negative) pairs that are ranked correctly; a pair weighs the
    product of its samples' weights, and a tie counts one half. Weights that are equal within each class change nothing.

    Args:
        scores: (N, L) numbers, larger means more positive.
        labels: (N, L) 0 or 1.
        weights: (N,) positive numbers.

    Raises:
        OneClassError: if no label has both classes.
        ValueError: as `auc`.
    """
    _check(scores, labels, dimensions=2)
    areas = []
    for column, classes in zip(scores.T, labels.T, strict=True):
        if not 0 < classes.sum(dtype=np.int64) < classes.size:
            continue
        _, place = np.unique(column, return_inverse=True)
        positives, negatives = (np.bincount(place, weights * (classes == value)) for value in (1, 0))
        below = np.cumsum(negatives) - negatives / 2
        areas.append(float(positives @ below / (positives.sum() * negatives.sum())))
    if not areas:
        raise OneClassError(f"none of {labels.shape[1]} labels has both classes among {labels.shape[0]} samples")
    return float(np.mean(areas))


def auc_and_influences(scores: Array, labels: Array) -> tuple[float, NDArray[np.float64]]:
    """Compute the AUC of one label, and the influence of each sample on it.

    Args:
        scores: (N,) numbers without nan.
        labels: (N,) 0 or 1.

    Returns:
        The AUC, and (N,) influences whose squares add up to DeLong's variance. In a class of one sample, whose part of
        the variance cannot be estimated, the influence is the upper bound sqrt(AUC (1 - AUC)).

    Raises:
        OneClassError: if all labels are equal.

    Source: DeLong et al. 1988; bound of Birnbaum and Klose 1957.
    """
    order = np.argsort(scores)
    is_positive = labels[order] == 1
    positives = int(is_positive.sum())
    negatives = is_positive.size - positives
    if not positives or not negatives:
        raise OneClassError(f"{positives} positives and {negatives} negatives; the AUC needs one of each")
    below, positives_below = _doubled_counts_below(scores[order], is_positive)
    won = (below - positives_below)[is_positive]
    lost = positives_below[~is_positive]
    area = float(won.sum() / (2 * positives * negatives))
    influences = np.empty(order.size)
    influences[order[is_positive]] = _influences(won / (2 * negatives), area)
    influences[order[~is_positive]] = _influences(1 - lost / (2 * positives), area)
    return area, influences


def _check(scores: Array, labels: Array, dimensions: int) -> None:
    if scores.shape != labels.shape or scores.ndim != dimensions:
        expected = "(N,)" if dimensions == 1 else "(N, L)"
        raise ValueError(f"scores are {scores.shape} and labels {labels.shape}; both must be {expected}")
    check_values(scores, labels)


def check_values(scores: Array, labels: Array) -> None:
    """Raise ValueError for nan among the scores or labels other than 0 and 1."""
    if np.isnan(scores).any():
        raise ValueError(f"scores contain nan in {int(np.isnan(scores).sum())} of {scores.size} places")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels must be 0 or 1")


def _doubled_counts_below(
    ordered: Array, is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, doubled, the samples and the positives that score below each sample; equal scores count one half each.

    Integers, so nothing is rounded. The same by scipy.stats.rankdata takes four times as long, at every epoch.
    """
    # Samples from one bound up to the next have equal scores.
    bounds = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [ordered.size]])
    positives = np.concatenate([[0], np.cumsum(is_positive)])[bounds]
    sizes = np.diff(bounds)
    return np.repeat(bounds[:-1] + bounds[1:], sizes), np.repeat(positives[:-1] + positives[1:], sizes)


def _influences(placements: NDArray[np.float64], area: float) -> NDArray[np.float64]:
    """Scale the placement values of one class so that their squares add up to its part of the variance."""
    count = placements.size
    if count == 1:
        return np.array([np.sqrt(area * (1 - area))])
    return np.asarray((placements - area) / np.sqrt(count * (count - 1)))
