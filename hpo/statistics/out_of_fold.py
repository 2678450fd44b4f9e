"""AUCs of configurations from their out-of-fold scores, and their covariance over samples.

Each fold has its own network, whose scores compare with each other but not with those of another fold. So AUCs are
computed within folds and averaged, and a covariance is the sum of DeLong's over folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.auc import Array
from hpo.statistics.network_metrics import NetworkMetrics, network_aucs


@dataclass(frozen=True, eq=False)
class ScoredFold:
    """Scores of C configurations on the validation part of one fold.

    Attributes:
        samples: (n,) ints that name the samples; in repeated cross-validation a sample is in one fold of each repeat.
        labels: (n, L) 0 or 1.
        scores: (C, n, L) floats, larger means more positive.
    """

    samples: NDArray[np.int64]
    labels: NDArray[np.uint8]
    scores: Array

    def of(self, places: Sequence[int] | NDArray[np.int64]) -> ScoredFold:
        """Return the fold with the scores of these configurations, in single precision."""
        return ScoredFold(self.samples, self.labels, self.scores[np.asarray(places)].astype(np.float32))


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """The N distinct samples of several folds.

    Attributes:
        count: N.
        places: for each fold, (n,) places of its samples among the N.
        strata: (N,) number of the fold in which a sample is first scored and, with one label, of its class; samples of
            a stratum are drawn from the same population.
    """

    count: int
    places: tuple[NDArray[np.int64], ...]
    strata: NDArray[np.int64]

    @classmethod
    def of(cls, folds: Sequence[ScoredFold]) -> SampleIndex:
        """Index the samples of these folds."""
        names, inverse = np.unique(np.concatenate([fold.samples for fold in folds]), return_inverse=True)
        ends = np.cumsum([len(fold.samples) for fold in folds])
        places = tuple(np.split(inverse.astype(np.int64), ends[:-1]))
        strata = np.full(names.size, -1, dtype=np.int64)
        for number, (fold, here) in enumerate(zip(folds, places, strict=True)):
            is_new = strata[here] < 0
            classes = fold.labels[:, 0] if fold.labels.shape[1] == 1 else np.zeros(len(here), dtype=np.uint8)
            strata[here[is_new]] = 2 * number + classes[is_new]
        return cls(names.size, places, strata)


def out_of_fold_aucs(folds: Sequence[ScoredFold]) -> NetworkMetrics:
    """Compute the mean AUC over folds of C configurations, with the influence of each sample on it.

    The networks are taken as they are: the covariance is over validation samples, not over trainings. Use
    `hpo.statistics.delong.difference_of_fixed_networks` for the paired comparison of two configurations.

    Args:
        folds: at least one; every configuration is scored on all of them.

    Raises:
        OneClassError: if a fold has both classes for no label.
        ValueError: for nan among the scores, or other labels than 0 and 1.

    Source: DeLong et al. 1988, within folds; the folds of one repeat are independent given the networks.
    """
    index = SampleIndex.of(folds)
    values = np.zeros(len(folds[0].scores))
    influences = np.zeros((values.size, index.count))
    smaller, rests_on_one = 0, False
    for fold, places in zip(folds, index.places, strict=True):
        found = network_aucs(fold.scores, fold.labels)
        values += found.values / len(folds)
        influences[:, places] += found.influences / len(folds)
        smaller += found.binomial_n
        rests_on_one |= found.rests_on_one
    repeats = sum(map(len, index.places)) / index.count
    strata = np.unique(index.strata, return_inverse=True)[1] if folds[0].labels.shape[1] == 1 else None
    return NetworkMetrics(values, influences, max(1, int(smaller / repeats)), strata, rests_on_one)
