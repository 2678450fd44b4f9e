"""Networks scored on the same rows: the value of each, and each row's part in its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import OneClassError, area_and_influences

Array = NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """Values of K networks on the same N rows, and what is needed to say how far both would move on other rows.

    values: (K,) floats in [0, 1]. influences: (K, N) floats, whose products over rows add up to the covariances of the
    values under another draw of rows. throws: independent throws that a value is at least made of (rows of the
    smaller class for an AUC: so many pairs share no row). strata: (N,) the group that each row is drawn from, its class
    for an AUC; None if the influences of different groups cannot be told apart.
    """

    values: NDArray[np.float64]
    influences: NDArray[np.float64]
    throws: int
    strata: NDArray[np.int64] | None = None

    @property
    def mean(self) -> float:
        """Mean value over the networks."""
        return float(self.values.mean())

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the values under another draw of rows, (K, K)."""
        return np.asarray(self.influences @ self.influences.T)

    def errors(self) -> NDArray[np.float64]:
        """Standard error of each value under another draw of rows, (K,)."""
        return np.asarray(np.sqrt(np.square(self.influences).sum(axis=1)))

    def averaged(self) -> Measured:
        """The mean over the networks, as one value with its influences."""
        return Measured(
            self.values.mean(keepdims=True), self.influences.mean(axis=0, keepdims=True), self.throws, self.strata
        )

    def degrees(self) -> float:
        """Degrees of freedom of the variance of the mean by rows; infinity without strata or without spread.

        Source: Satterthwaite 1946; for an AUC from its two classes, Brunner and Munzel 2000 (Biometrical J. 42:17).
        """
        parts = np.square(self.influences.mean(axis=0))
        if self.strata is None or not parts.any():
            return math.inf
        variances, counts = np.bincount(self.strata, weights=parts), np.bincount(self.strata)
        return float(variances.sum() ** 2 / (np.square(variances) / np.maximum(counts - 1, 1)).sum())


def measured_auc(scores: Array, labels: Array) -> Measured:
    """AUC of K networks, exact with ties, with DeLong's covariance; of several labels, the mean AUC over labels.

    scores: (K, N), or (K, N, L) for L labels, larger means more positive. labels: (N,) or (N, L), 0 or 1.
    A label without both classes is left out. The labels of a row are drawn together, so a row's parts in the AUC of
    all labels are summed, though positives differ from label to label. A class of one row shows no spread; the bound
    AUC (1 - AUC) stands for its part of the variance.
    Raises OneClassError if no label has both classes, ValueError for nan, other labels, or arrays of unequal form.
    Source: DeLong et al. 1988, equations 3 to 6; O(N log N) form of Sun and Xu 2014.
    """
    check_scores(scores, labels)
    by_label = (scores[..., None], labels[:, None]) if labels.ndim == 1 else (scores, labels)
    both = labels_with_both_classes(labels)
    areas = np.empty((scores.shape[0], both.size))
    influences = np.zeros(scores.shape[:2])
    for network in range(scores.shape[0]):
        for place, label in enumerate(both):
            area, parts = area_and_influences(by_label[0][network, :, label], by_label[1][:, label])
            areas[network, place] = area
            influences[network] += parts / both.size
    positives = by_label[1][:, both].sum(axis=0, dtype=np.int64)
    smaller = np.minimum(positives, labels.shape[0] - positives)
    strata = labels.astype(np.int64) if labels.ndim == 1 else None
    return Measured(areas.mean(axis=1), influences, int(smaller.min()), strata)


def measured_hits(hits: Array) -> Measured:
    """Share of hits of K networks, an accuracy, with the covariance of rows drawn at random.

    hits: (K, N) 0 or 1, or between: the share of a row's labels that were predicted right. N is at least 2.
    """
    if hits.ndim != 2 or hits.shape[1] < 2:
        raise ValueError(f"hits are {hits.shape}; give (networks, rows) with two rows or more")
    values = hits.mean(axis=1)
    rows = hits.shape[1]
    influences = (hits - values[:, None]) / np.sqrt(rows * (rows - 1))
    return Measured(values, influences, rows, np.zeros(rows, dtype=np.int64))


def check_scores(scores: Array, labels: Array) -> None:
    """Raises ValueError unless scores are (K, N) or (K, N, L) without nan, for labels (N,) or (N, L) of 0 and 1."""
    if labels.ndim not in (1, 2) or scores.ndim != labels.ndim + 1 or scores.shape[1:] != labels.shape:
        raise ValueError(
            f"scores are {scores.shape} and labels {labels.shape}; give (networks, rows) for (rows,), "
            "or (networks, rows, labels) for (rows, labels)"
        )
    if not scores.shape[0]:
        raise ValueError("scores hold no network")
    if np.isnan(scores).any():
        raise ValueError(f"scores hold nan in {int(np.isnan(scores).sum())} of {scores.size} places")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels hold other values than 0 and 1")


def labels_with_both_classes(labels: Array) -> NDArray[np.int64]:
    """Places of the labels that have both classes; labels: (N,) or (N, L), 0 or 1. Raises OneClassError if none has."""
    columns = labels.reshape(labels.shape[0], -1)
    both = np.flatnonzero((columns == 0).any(axis=0) & (columns == 1).any(axis=0))
    if not both.size:
        raise OneClassError(f"none of {columns.shape[1]} labels has both classes among {labels.shape[0]} rows")
    return both
