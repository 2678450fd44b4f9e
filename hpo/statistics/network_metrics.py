"""A metric of several networks on the same samples, and the influence of each sample on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import Array, OneClassError, auc_and_influences, check_values


@dataclass(frozen=True)
class NetworkMetrics:
    """A metric of K networks on the same N samples, and what is needed for its covariance over other samples.

    Attributes:
        values: (K,) floats in [0, 1], such as AUCs.
        influences: (K, N) floats whose products, summed over samples, are the covariances of the values.
        binomial_n: number of independent 0/1 outcomes that a value comprises at least; for an AUC the size of the
            smaller class, since that many pairs share no sample. Used only where a value is 0 or 1.
        strata: (N,) group that each sample is drawn from, for an AUC its class; None for several labels.
        rests_on_one: whether one of several labels has a class of one sample. Its influence is an upper bound that is
            summed with those on other labels, so of a difference nothing is known.
    """

    values: NDArray[np.float64]
    influences: NDArray[np.float64]
    binomial_n: int
    strata: NDArray[np.int64] | None = None
    rests_on_one: bool = False

    @property
    def mean(self) -> float:
        """Mean value over the networks."""
        return float(self.values.mean())

    def covariance(self) -> NDArray[np.float64]:
        """Return the (K, K) covariance of the values over samples."""
        return np.asarray(self.influences @ self.influences.T)

    def standard_errors(self) -> NDArray[np.float64]:
        """Return the (K,) standard errors of the values over samples."""
        return np.asarray(np.sqrt(np.square(self.influences).sum(axis=1)))

    def is_alone(self) -> NDArray[np.bool_]:
        """Return for each sample whether it is the only one of its stratum; never without strata."""
        if self.strata is None:
            return np.zeros(self.influences.shape[1], dtype=np.bool_)
        return np.asarray(np.bincount(self.strata)[self.strata] == 1)

    def subtracted_influences(self) -> NDArray[np.float64]:
        """Return the (K, N) influences to subtract from those of other networks on the same samples.

        The influence of a sample that is alone in its stratum is an upper bound, see `auc_and_influences`. How the two
        vary together is not known, so it has the other sign: the bound of a difference is the sum of the bounds.
        """
        return np.where(self.is_alone(), -self.influences, self.influences)

    def mean_over_networks(self) -> NetworkMetrics:
        """Return the mean over the networks as one value with its influences."""
        return NetworkMetrics(
            self.values.mean(keepdims=True),
            self.influences.mean(axis=0, keepdims=True),
            self.binomial_n,
            self.strata,
            self.rests_on_one,
        )

    def degrees_of_freedom(self) -> float:
        """Return the degrees of freedom of the sampling variance of the mean; infinity without strata or spread.

        Source: Satterthwaite 1946; for an AUC, from its two classes, Brunner and Munzel 2000 (Biometrical J. 42:17).
        """
        parts = np.square(self.influences.mean(axis=0))
        if self.strata is None or not parts.any():
            return math.inf
        variances, counts = np.bincount(self.strata, weights=parts), np.bincount(self.strata)
        return float(variances.sum() ** 2 / (np.square(variances) / np.maximum(counts - 1, 1)).sum())


def network_aucs(scores: Array, labels: Array) -> NetworkMetrics:
    """Compute the AUC of K networks, exact with ties, with DeLong's covariance; for several labels, the mean AUC.

    A label without both classes is left out. The labels of a sample are drawn together, so its influences on the AUCs
    of all labels are summed, although positives differ from label to label.

    Args:
        scores: (K, N), or (K, N, L) for L labels, larger means more positive.
        labels: (N,) or (N, L), 0 or 1.

    Raises:
        OneClassError: if no label has both classes.
        ValueError: for nan, other labels, or arrays of unequal shape.

    Source: DeLong et al. 1988, equations 3 to 6; O(N log N) form of Sun and Xu 2014.
    """
    check_scores(scores, labels)
    by_label = (scores[..., None], labels[:, None]) if labels.ndim == 1 else (scores, labels)
    both = labels_with_both_classes(labels)
    areas = np.empty((scores.shape[0], both.size))
    influences = np.zeros(scores.shape[:2])
    for network in range(scores.shape[0]):
        for place, label in enumerate(both):
            area, parts = auc_and_influences(by_label[0][network, :, label], by_label[1][:, label])
            areas[network, place] = area
            influences[network] += parts / both.size
    positives = by_label[1][:, both].sum(axis=0, dtype=np.int64)
    smaller = np.minimum(positives, labels.shape[0] - positives)
    strata = labels.astype(np.int64) if labels.ndim == 1 else None
    rests_on_one = labels.ndim == 2 and labels.shape[1] > 1 and bool(smaller.min() == 1)
    return NetworkMetrics(areas.mean(axis=1), influences, int(smaller.min()), strata, rests_on_one)


def network_accuracies(correct: Array) -> NetworkMetrics:
    """Compute the accuracy of K networks, with its covariance over samples.

    Args:
        correct: (K, N), N >= 2: whether each sample was predicted correctly, 0 or 1; for several labels, the share of
            its labels that were.
    """
    if correct.ndim != 2 or correct.shape[1] < 2:
        raise ValueError(f"correct is {correct.shape}; expected (networks, samples) with at least two samples")
    values = correct.mean(axis=1)
    samples = correct.shape[1]
    influences = (correct - values[:, None]) / np.sqrt(samples * (samples - 1))
    return NetworkMetrics(values, influences, samples, np.zeros(samples, dtype=np.int64))


def check_scores(scores: Array, labels: Array) -> None:
    """Raise ValueError unless scores are (K, N) or (K, N, L) without nan, and labels (N,) or (N, L) of 0 and 1."""
    if labels.ndim not in (1, 2) or scores.ndim != labels.ndim + 1 or scores.shape[1:] != labels.shape:
        raise ValueError(
            f"scores are {scores.shape} and labels {labels.shape}; expected (networks, samples) for (samples,), "
            "or (networks, samples, labels) for (samples, labels)"
        )
    if not scores.shape[0]:
        raise ValueError("scores contain no network")
    check_values(scores, labels)


def labels_with_both_classes(labels: Array) -> NDArray[np.int64]:
    """Return the indices of the labels that have both classes.

    Args:
        labels: (N,) or (N, L), 0 or 1.

    Raises:
        OneClassError: if no label has both classes.
    """
    columns = labels.reshape(labels.shape[0], -1)
    both = np.flatnonzero((columns == 0).any(axis=0) & (columns == 1).any(axis=0))
    if not both.size:
        raise OneClassError(f"none of {columns.shape[1]} labels has both classes among {labels.shape[0]} samples")
    return both
