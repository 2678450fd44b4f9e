"""The ROC curve that training keeps of a trial: its mean over labels on a grid of false positive rates."""

from __future__ import annotations

import numpy as np

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
    # Imported here since figures need only the grid: scikit-learn takes 1.2 s, which training pays for LibAUC anyway.
    from sklearn.metrics import roc_curve

    check_scores(scores[None], labels)
    rates = []
    for label in labels_with_both_classes(labels):
        false_positive_rates, true_positive_rates, _ = roc_curve(labels[:, label], scores[:, label])
        rates.append(np.interp(ROC_GRID, false_positive_rates, true_positive_rates))
    return tuple(np.mean(rates, axis=0).tolist())
