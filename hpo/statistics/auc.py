"""The area under the ROC curve, exact with ties, and its standard error by DeLong's method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class OneClassError(ValueError):
    """All labels are equal, so that there is no pair of a positive and a negative to rank."""


def auc(scores: Array, labels: Array) -> float:
    """Share of pairs of a positive and a negative in which the positive scores higher; a tie counts one half.

    scores: (N,) numbers, larger means more positive. labels: (N,) 0 or 1.
    Raises OneClassError if all labels are equal, ValueError for nan among the scores or arrays of unequal form.
    """
    _check(scores, labels, dimensions=1)
    return area_and_influences(scores, labels)[0]


def auc_with_error(scores: Array, labels: Array) -> tuple[float, float]:
    """AUC and its standard error by DeLong's method.

    scores: (N,) numbers, larger means more positive. labels: (N,) 0 or 1.
    A class of one row has no spread to estimate its part of the variance from; the bound AUC (1 - AUC) stands for it.
    Raises as `auc`. Source: DeLong et al. 1988; O(N log N) form of Sun and Xu 2014; bound of Birnbaum and Klose 1957.
    """
    _check(scores, labels, dimensions=1)
    area, influences = area_and_influences(scores, labels)
    return area, float(np.sqrt(np.square(influences).sum()))


def mean_auc_with_error(scores: Array, labels: Array) -> tuple[float, float]:
    """Mean AUC over the labels that have both classes, and its standard error.

    scores: (N, L) numbers, larger means more positive. labels: (N, L) 0 or 1.
    Labels share their rows, so a row's parts in the AUC of all labels are summed before they are squared: DeLong's
    covariance, for labels that have other positives each. For L = 1 it is `auc_with_error`.
    Raises OneClassError if no label has both classes, else as `auc`. Source: DeLong et al. 1988; Sun and Xu 2014.
    """
    _check(scores, labels, dimensions=2)
    positives = labels.sum(axis=0, dtype=np.int64)
    both = np.flatnonzero((positives > 0) & (positives < labels.shape[0]))
    if not both.size:
        raise OneClassError(f"none of {labels.shape[1]} labels has both classes among {labels.shape[0]} rows")
    areas = []
    total = np.zeros(labels.shape[0])
    for column, classes in zip(np.ascontiguousarray(scores.T[both]), np.ascontiguousarray(labels.T[both]), strict=True):
        area, influences = area_and_influences(column, classes)
        areas.append(area)
        total += influences
    return float(np.mean(areas)), float(np.sqrt(np.square(total).sum()) / both.size)


def _check(scores: Array, labels: Array, dimensions: int) -> None:
    if scores.shape != labels.shape or scores.ndim != dimensions:
        wanted = "(N,)" if dimensions == 1 else "(N, L)"
        raise ValueError(f"scores are {scores.shape} and labels {labels.shape}; both must be {wanted}")
    if np.isnan(scores).any():
        raise ValueError(f"scores hold nan in {int(np.isnan(scores).sum())} of {scores.size} places")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels hold other values than 0 and 1")


def area_and_influences(scores: Array, labels: Array) -> tuple[float, NDArray[np.float64]]:
    """AUC of one label, and each row's part in its error, (N,), whose squares add up to DeLong's variance.

    scores, labels: (N,), checked before. Raises OneClassError if all labels are equal.
    """
    order = np.argsort(scores)
    is_positive = labels[order] == 1
    positives = int(is_positive.sum())
    negatives = is_positive.size - positives
    if not positives or not negatives:
        raise OneClassError(f"{positives} positives and {negatives} negatives; the AUC needs one of each")
    below, positives_below = _doubled_numbers_below(scores[order], is_positive)
    won = (below - positives_below)[is_positive]
    lost = positives_below[~is_positive]
    area = float(won.sum() / (2 * positives * negatives))
    influences = np.empty(order.size)
    influences[order[is_positive]] = _scaled(won / (2 * negatives), area)
    influences[order[~is_positive]] = _scaled(1 - lost / (2 * positives), area)
    return area, influences


def _doubled_numbers_below(
    ordered: Array, is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Twice the number of rows, and of positive rows, below each row in rising order; equal rows count one half each.

    Rows from `first` up to `last` are equal, the row itself among them. Whole numbers, so nothing is rounded.
    """
    bounds = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [ordered.size]])
    positives = np.concatenate([[0], np.cumsum(is_positive)])[bounds]
    sizes = np.diff(bounds)
    return np.repeat(bounds[:-1] + bounds[1:], sizes), np.repeat(positives[:-1] + positives[1:], sizes)


def _scaled(components: NDArray[np.float64], area: float) -> NDArray[np.float64]:
    count = components.size
    if count == 1:
        return np.array([np.sqrt(area * (1 - area))])
    return np.asarray((components - area) / np.sqrt(count * (count - 1)))
