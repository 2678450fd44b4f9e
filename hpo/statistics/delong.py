"""DeLong's intervals and paired test of AUCs: the networks are fixed, the test samples are random.

For the variance of training as well, see `obuchowski_rockette.py`.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.statistics.auc import Array
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate, Scale
from hpo.statistics.network_metrics import NetworkMetrics, network_aucs
from hpo.statistics.t_intervals import proportion_estimate, t_comparison


def delong_interval(scores: Array, labels: Array, confidence: float = CONFIDENCE, scale: Scale = "logit") -> Estimate:
    """Compute the AUC of one network with DeLong's interval; for several labels, the mean AUC over labels.

    Args:
        scores: (N,) or (N, L), larger means more positive.
        labels: the same shape, 0 or 1.
        scale: as `mean_of_fixed_networks`.

    Raises:
        OneClassError, ValueError: as `network_aucs`.

    Source: DeLong et al. 1988.
    """
    return mean_of_fixed_networks(network_aucs(scores[None], labels), confidence, scale)


def delong_test(first: Array, second: Array, labels: Array, confidence: float = CONFIDENCE) -> Comparison:
    """Compare the AUCs of two networks on the same samples (first minus second) by DeLong's paired test.

    Args:
        first, second: scores, (N,) or (N, L), larger means more positive.
        labels: the same shape, 0 or 1.

    Raises:
        OneClassError, ValueError: as `network_aucs`.

    Source: DeLong et al. 1988.
    """
    if first.shape != second.shape:
        raise ValueError(f"scores are {first.shape} and {second.shape}; a paired test needs the same samples")
    one, other = (network_aucs(scores[None], labels) for scores in (first, second))
    return difference_of_fixed_networks(one, other, confidence)


def mean_of_fixed_networks(metrics: NetworkMetrics, confidence: float = CONFIDENCE, scale: Scale = "logit") -> Estimate:
    """Compute the mean of these fixed networks with its interval over test samples (training variance not included).

    Args:
        scale: "plain" is DeLong's own interval, AUC +- z error, as in R's pROC; it can exceed 1 and its coverage is too
            low near 1. "logit" stays below 1 and uses Student's t with `NetworkMetrics.degrees_of_freedom`
            (`benchmarks/coverage.py` compares the two).

    Source: DeLong et al. 1988, for a mean of correlated AUCs; logit: Pepe 2003, chapter 5.
    """
    mean = metrics.mean_over_networks()
    degrees = metrics.degrees_of_freedom() if scale == "logit" else math.inf
    error = float(mean.standard_errors()[0])
    return proportion_estimate(mean.mean, error, metrics.binomial_n, confidence, degrees, scale)


def difference_of_fixed_networks(
    first: NetworkMetrics, second: NetworkMetrics, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare the means of two sets of fixed networks (first minus second), paired over test samples.

    Args:
        first, second: metrics on the same samples; the numbers of networks may differ.

    Raises:
        ValueError: if the numbers of samples differ.

    Source: DeLong et al. 1988.
    """
    check_same_samples(first, second)
    one, other = first.mean_over_networks(), second.mean_over_networks()
    half_width = degenerate_half_width(one, other)
    error = float(np.linalg.norm(one.influences - other.subtracted_influences())) if half_width else 0.0
    if one.rests_on_one:
        error = 0.0
    return t_comparison(one.mean - other.mean, error, confidence, degenerate_half_width=half_width)


def check_same_samples(first: NetworkMetrics, second: NetworkMetrics) -> None:
    """Raise ValueError if the two were computed on different numbers of samples."""
    samples = first.influences.shape[1], second.influences.shape[1]
    if samples[0] != samples[1]:
        raise ValueError(f"{samples[0]} samples against {samples[1]}; a paired comparison needs the same samples")


def degenerate_half_width(first: NetworkMetrics, second: NetworkMetrics) -> float:
    """Return the half-width of an interval of a difference without spread.

    0 if both rank the samples alike, since other samples would show no difference either; else 1, the largest
    difference that is possible (two perfect rankings may be perfect for different reasons). So is that of networks that
    rest on one sample.
    """
    alike = first.influences.any() and np.allclose(first.influences, second.influences, rtol=0, atol=1e-14)
    return 0.0 if alike else 1.0
