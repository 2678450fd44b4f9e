"""The ROC curve that training keeps of a trial: its mean over labels on a grid of false positive rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import Array
from hpo.statistics.network_metrics import check_scores, labels_with_both_classes

ROC_GRID = np.linspace(0, 1, 41)
"""False positive rates at which curves are averaged and kept."""


def mean_roc(scores: Array, labels: Array) -> tuple[float, ...]:
    """Compute the true positive rates at `ROC_GRID`, mean over labels; the highest where a curve is vertical.

    Args:
        scores: (N, L), larger means more positive.
        labels: (N, L), 0 or 1. Labels of one class are left out.

    Raises:
        OneClassError: if no label has both classes.
        ValueError: for nan, other labels, or arrays of unequal shape.

    Source: vertical averaging, Fawcett 2006.
    """
    check_scores(scores[None], labels)
    rates = []
    for label in labels_with_both_classes(labels):
        rates.append(np.interp(ROC_GRID, *roc_curve(scores[:, label], labels[:, label])))
    return tuple(np.mean(rates, axis=0).tolist())


def roc_curve(scores: Array, labels: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the corners of a ROC curve, from (0, 0) to (1, 1), as scikit-learn's `roc_curve`.

    scikit-learn takes a worker as long to import as torch, and would be imported for this alone.

    Args:
        scores: (N,), larger means more positive.
        labels: (N,), 0 or 1, of both classes.

    Returns:
        False positive rates and true positive rates.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    # Not by a difference: that of two infinite scores is not a number.
    last_of_a_score = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), order.size - 1)
    positives = np.cumsum(labels[order], dtype=np.int64)[last_of_a_score]
    negatives = last_of_a_score + 1 - positives
    is_corner = np.ones(positives.size, dtype=bool)
    is_corner[1:-1] = (np.diff(positives, 2) != 0) | (np.diff(negatives, 2) != 0)
    false, true = (np.append(0, counts[is_corner]) for counts in (negatives, positives))
    return false / false[-1], true / true[-1]
