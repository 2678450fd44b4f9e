"""A threshold on scores, and what it tells right on other rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError
from hpo.statistics.measured import Array, check_scores

Rule = Literal["youden", "accuracy"]
"""What a threshold makes greatest: sensitivity + specificity - 1 (Youden 1950), or the share of rows told right."""


def choose_threshold(scores: Array, labels: Array, rule: Rule = "youden") -> float:
    """The threshold that is best on these rows by `rule`: rows that score at least so much are called positive.

    scores: (N,), larger means more positive. labels: (N,) 0 or 1. Never choose it on the rows that it is judged on.
    It lies midway between two scores; of equally good ones, the one in the widest gap. It is the lowest score, or
    just above the highest, where calling all rows alike is best.
    Raises OneClassError if all labels are equal, ValueError for scores that are not finite.
    """
    check_scores(scores[None], labels)
    if not np.isfinite(scores).all():
        raise ValueError("scores hold infinity; a threshold needs finite scores")
    positives = int(labels.sum())
    negatives = labels.size - positives
    if not positives or not negatives:
        raise OneClassError(f"{positives} positives and {negatives} negatives; a threshold needs one of each")
    levels = np.unique(scores.astype(np.float64))
    edges = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2, [np.nextafter(levels[-1], np.inf)]])
    gaps = np.concatenate([[0.0], np.diff(levels), [0.0]])
    above = positives - np.searchsorted(np.sort(scores[labels == 1]), edges)
    below = np.searchsorted(np.sort(scores[labels == 0]), edges)
    gain = above * negatives + below * positives if rule == "youden" else above + below
    best = np.flatnonzero(gain == gain.max())
    return float(edges[best[np.argmax(gaps[best])]])


def hits(scores: Array, labels: Array, thresholds: float | Array) -> NDArray[np.float64]:
    """Share of each row's labels that are told right at the thresholds, (N,): 0 or 1 for one label.

    scores, labels: (N,), or (N, L) with a threshold for each label, (L,).
    MedMNIST's accuracy on a set of several labels is the mean of these.
    """
    # A threshold just above the highest 32-bit score would be rounded back to it.
    right = (scores.astype(np.float64) >= thresholds) == (labels == 1)
    return np.asarray(right.astype(np.float64) if labels.ndim == 1 else right.mean(axis=1))
