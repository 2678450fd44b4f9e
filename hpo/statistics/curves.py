"""Points of the ROC and the precision-recall curve, exact with ties, for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError
from hpo.statistics.measured import Array, check_scores, labels_with_both_classes

ROC_GRID = np.linspace(0, 1, 41)
"""False positive rates at which curves are averaged and kept."""


@dataclass(frozen=True)
class Curve:
    """Points of a curve, one for each threshold; rows that score at least the threshold are called positive.

    x, y, thresholds: (P,) floats, thresholds falling; the first is infinity, where no row is called positive.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def roc_curve(scores: Array, labels: Array) -> Curve:
    """x: share of negatives called positive; y: share of positives called positive. From (0, 0) to (1, 1).

    scores: (N,), larger means more positive. labels: (N,) 0 or 1. Equal scores make one point, so that the area under
    straight lines between the points is the AUC, ties counted one half. Points within a straight stretch are left out.
    Raises OneClassError if all labels are equal, ValueError for nan.
    """
    levels, above, called = _counts(scores, labels)
    false = called - above
    bends = np.ones(called.size, dtype=bool)
    steps = np.diff(false)[:-1] * np.diff(above)[1:] - np.diff(false)[1:] * np.diff(above)[:-1]
    bends[1:-1] = steps != 0
    return Curve((false / false[-1])[bends], (above / above[-1])[bends], levels[bends])


def mean_roc(scores: Array, labels: Array) -> tuple[float, ...]:
    """True positive rates at `ROC_GRID`, mean over labels; the highest where the curve is vertical.

    scores, labels: (N, L). Labels of one class are left out. Raises OneClassError if no label has both, ValueError for
    nan. Source: vertical averaging, Fawcett 2006.
    """
    curves = [roc_curve(scores[:, label], labels[:, label]) for label in labels_with_both_classes(labels)]
    rates = np.mean([np.interp(ROC_GRID, curve.x, curve.y) for curve in curves], axis=0)
    return tuple(rates.tolist())


def precision_recall_curve(scores: Array, labels: Array) -> Curve:
    """x: recall, the share of positives called positive; y: precision, the share of positives among those called so.

    Arguments and errors as `roc_curve`. One point for each distinct score; before the first, where nothing is called
    positive, precision is taken as 1. Lines between points would flatter: draw steps (Davis and Goadrich 2006).
    """
    levels, above, called = _counts(scores, labels)
    precision = np.ones(called.size)
    precision[1:] = above[1:] / called[1:]
    return Curve(above / above[-1], precision, levels)


def average_precision(scores: Array, labels: Array) -> float:
    """Sum over thresholds of the growth of recall times precision, the area under the steps.

    Arguments and errors as `roc_curve`. A random ranking has the share of positives.
    """
    curve = precision_recall_curve(scores, labels)
    return float((np.diff(curve.x) * curve.y[1:]).sum())


def _counts(scores: Array, labels: Array) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Thresholds falling, positives at least as high, rows at least as high; (P,) each, the first point empty."""
    check_scores(scores[None], labels)
    if labels.all() or not labels.any():
        raise OneClassError(f"all {labels.size} labels are equal; a curve needs both classes")
    levels, place = np.unique(-scores.astype(np.float64), return_inverse=True)
    above = np.bincount(place, weights=labels, minlength=levels.size).astype(np.int64)
    called = np.bincount(place, minlength=levels.size)
    start = np.zeros(1, dtype=np.int64)
    return (
        np.concatenate([[np.inf], -levels]),
        np.concatenate([start, np.cumsum(above)]),
        np.concatenate([start, np.cumsum(called)]),
    )
