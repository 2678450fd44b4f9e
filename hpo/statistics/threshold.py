"""Decision thresholds on scores, and the accuracy they reach."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import Array, OneClassError
from hpo.statistics.network_metrics import check_scores

Rule = Literal["youden", "accuracy"]
"""What a threshold maximizes: sensitivity + specificity - 1 (Youden 1950), or accuracy."""


def choose_threshold(scores: Array, labels: Array, rule: Rule = "youden") -> float:
    """Choose the threshold that is best on these samples; scores at or above it are predicted positive.

    Args:
        scores: (N,), larger means more positive. Not those of the samples that the threshold is evaluated on.
        labels: (N,) 0 or 1.
        rule: what is maximized.

    Returns:
        A value midway between two scores; of equally good ones, the one in the widest gap. The lowest score, or just
        above the highest, where predicting one class for all samples is best.

    Raises:
        OneClassError: if all labels are equal.
        ValueError: for scores that are not finite.
    """
    check_scores(scores[None], labels)
    if not np.isfinite(scores).all():
        raise ValueError("scores contain infinity; a threshold needs finite scores")
    positives = int(labels.sum())
    negatives = labels.size - positives
    if not positives or not negatives:
        raise OneClassError(f"{positives} positives and {negatives} negatives; a threshold needs one of each")
    levels = np.unique(scores.astype(np.float64))
    edges = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2, [np.nextafter(levels[-1], np.inf)]])
    gaps = np.concatenate([[0.0], np.diff(levels), [0.0]])
    true_positives = positives - np.searchsorted(np.sort(scores[labels == 1]), edges)
    true_negatives = np.searchsorted(np.sort(scores[labels == 0]), edges)
    # Youden's index times positives x negatives, plus a constant: integers, so that equal gains compare equal.
    youden = true_positives * negatives + true_negatives * positives
    gain = youden if rule == "youden" else true_positives + true_negatives
    best = np.flatnonzero(gain == gain.max())
    return float(edges[best[np.argmax(gaps[best])]])


def correct_share(scores: Array, labels: Array, thresholds: float | Array) -> NDArray[np.float64]:
    """Compute, for each sample, the share of its labels that the thresholds predict correctly: 0 or 1 for one label.

    The mean over samples is the accuracy, for several labels as MedMNIST's evaluator computes it.

    Args:
        scores: (N,) or (N, L).
        labels: the same shape, 0 or 1.
        thresholds: one for each label.

    Returns:
        (N,) floats.
    """
    # In 64 bits: a threshold just above the highest 32-bit score would be rounded down to it.
    correct = (scores.astype(np.float64) >= thresholds) == (labels == 1)
    return np.asarray(correct.astype(np.float64) if labels.ndim == 1 else correct.mean(axis=1))
