"""Accuracy, sensitivity and specificity at a threshold that was chosen on other rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError
from hpo.statistics.distributions import normal_quantile
from hpo.statistics.estimate import CONFIDENCE, Estimate, check_confidence
from hpo.statistics.measured import Array, check_scores

Rule = Literal["youden", "accuracy"]
"""What a threshold makes greatest: sensitivity + specificity - 1 (Youden 1950), or the share of rows told right."""


@dataclass(frozen=True)
class Rates:
    """Shares told right at a threshold, each with a Wilson interval: of all rows, of positives, of negatives."""

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


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


def rates_at(scores: Array, labels: Array, threshold: float, confidence: float = CONFIDENCE) -> Rates:
    """Accuracy, sensitivity and specificity of one network at a threshold chosen on other rows.

    scores: (N,), larger means more positive. labels: (N,) 0 or 1. Raises as `choose_threshold`.
    """
    check_scores(scores[None], labels)
    right = hits(scores, labels, threshold)
    if labels.all() or not labels.any():
        raise OneClassError(f"all {labels.size} labels are equal; sensitivity and specificity need both classes")
    return Rates(*(wilson(right[rows], confidence) for rows in (labels >= 0, labels == 1, labels == 0)))


def hits(scores: Array, labels: Array, thresholds: float | Array) -> NDArray[np.float64]:
    """Share of each row's labels that are told right at the thresholds, (N,): 0 or 1 for one label.

    scores, labels: (N,), or (N, L) with a threshold for each label, (L,).
    MedMNIST's accuracy on a set of several labels is the mean of these.
    """
    # A threshold just above the highest 32-bit score would be rounded back to it.
    right = (scores.astype(np.float64) >= thresholds) == (labels == 1)
    return np.asarray(right.astype(np.float64) if labels.ndim == 1 else right.mean(axis=1))


def wilson(right: Array, confidence: float = CONFIDENCE) -> Estimate:
    """Share of rows told right, with Wilson's score interval.

    right: (N,) 0 or 1, or between, as `hits` gives them for several labels. There N is replaced by p (1 - p) N / s^2
    with s^2 the variance over rows: the rows of one label that would be as sure; for 0 and 1 it is N itself.
    Raises ValueError for no rows. Source: Wilson 1927; effective number of rows: Korn and Graubard 1998.
    """
    check_confidence(confidence)
    if not right.size:
        raise ValueError("a share of no rows has no value")
    share, variance = float(right.mean()), float(right.var())
    rows = share * (1 - share) / variance * right.size if variance > 0 else float(right.size)
    z = normal_quantile((1 + confidence) / 2)
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    return Estimate(
        share, math.sqrt(variance / right.size), max(0.0, centre - reach), min(1.0, centre + reach), confidence
    )
