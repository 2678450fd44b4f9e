"""Several networks of one configuration, trained with different seeds and scored on the same samples.

Which question an interval answers depends on what is random:

- samples: how do these fixed networks do on other samples? See `delong.py`.
- seeds: how would other trainings do on the same samples? `mean_over_seeds_fixed_samples`.
- both: how does the configuration do? `mean_over_seeds_and_samples`, `difference_over_seeds_and_samples`.

The last is the analysis of Obuchowski and Rockette for several readers of the same cases: a seed is a reader, a sample
is a case. The AUCs of two seeds are correlated, since both are scored on the same samples. Their mean square over seeds
contains the training variance plus the part of the sampling variance that the seeds do not share; their covariance is
the part that no number of seeds averages out. The training set is fixed: no interval here covers its variance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.delong import check_same_samples, degenerate_half_width
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate, Scale, check_confidence
from hpo.statistics.network_metrics import NetworkMetrics
from hpo.statistics.t_intervals import proportion_estimate, t_comparison, t_quantile


def mean_over_seeds_and_samples(
    metrics: NetworkMetrics, confidence: float = CONFIDENCE, scale: Scale = "logit"
) -> Estimate:
    """Compute the mean of a configuration with its interval over seeds and samples.

    The variance is MS / K + max(cov, 0): MS the mean square over K seeds, cov the mean sampling covariance of two
    seeds. The degrees of freedom are (MS / K + cov)^2 / ((MS / K)^2 / (K - 1) + cov^2 / d), d those of
    `NetworkMetrics.degrees_of_freedom`: infinite in the source, but 22 positives are few.

    Raises:
        ValueError: for fewer than two seeds.

    Source: Obuchowski and Rockette 1995; degrees of freedom of Hillis 2007 (Stat. Med. 26:596), for one treatment as
    in Hillis 2014 (Stat. Med. 33:330).
    """
    training = _training_variance(metrics.values)
    sampling = max(_mean_covariance(metrics.covariance()), 0.0)
    variance = training + sampling
    degrees = _satterthwaite(variance, (training, metrics.values.size - 1), (sampling, metrics.degrees_of_freedom()))
    return proportion_estimate(metrics.mean, math.sqrt(variance), metrics.binomial_n, confidence, degrees, scale)


def mean_over_seeds_fixed_samples(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Compute the mean over seeds with Student's interval for other seeds on the same samples.

    Args:
        values: (K,) a metric of K networks.

    Raises:
        ValueError: for fewer than two seeds.
    """
    check_confidence(confidence)
    mean, error, degrees = float(values.mean()), math.sqrt(_training_variance(values)), values.size - 1
    half_width = t_quantile(confidence, degrees) * error
    return Estimate(mean, error, mean - half_width, mean + half_width, confidence, degrees)


def difference_over_seeds_and_samples(
    first: NetworkMetrics, second: NetworkMetrics, confidence: float = CONFIDENCE, matched: bool = False
) -> Comparison:
    """Compare the means of two configurations (first minus second) over seeds and samples, paired over samples.

    Nested seeds (the default) have the variance MS1 / K1 + MS2 / K2 + max(cov1 + cov2 - 2 cov12, 0), where cov12 is the
    mean covariance of a seed of the first and one of the second, and Satterthwaite's degrees of freedom; those of the
    covariances are as for `mean_over_seeds_and_samples`.

    Args:
        first, second: metrics on the same samples.
        matched: whether seed k of the first is paired with seed k of the second, because both share something besides
            the samples, such as their training set; the differences of the pairs are then analysed as one
            configuration.

    Raises:
        ValueError: for fewer than two seeds of either, different samples, or unequal numbers of matched seeds.

    Source: Obuchowski and Rockette 1995; readers nested in treatments: Hillis 2014 (Stat. Med. 33:330).
    """
    check_same_samples(first, second)
    difference = first.mean - second.mean
    half_width = degenerate_half_width(first.mean_over_networks(), second.mean_over_networks())
    if first.rests_on_one:
        return t_comparison(difference, 0.0, confidence, degenerate_half_width=half_width)
    if matched:
        if first.values.size != second.values.size:
            raise ValueError(
                f"{first.values.size} seeds against {second.values.size}; matched seeds need equal numbers"
            )
        training = _training_variance(first.values - second.values)
        influences = first.influences - second.subtracted_influences()
        sampling = max(_mean_covariance(influences @ influences.T), 0.0)
        variance = training + sampling
        samples = _degrees_of_difference(first, second)
        degrees = _satterthwaite(variance, (training, first.values.size - 1), (sampling, samples))
        return t_comparison(difference, math.sqrt(variance), confidence, degrees, half_width)
    one, other = _training_variance(first.values), _training_variance(second.values)
    shared = float((first.influences @ second.subtracted_influences().T).mean())
    covariance = _mean_covariance(first.covariance()) + _mean_covariance(second.covariance()) - 2 * shared
    sampling = max(covariance, 0.0)
    variance = one + other + sampling
    samples = _degrees_of_difference(first, second)
    degrees = _satterthwaite(
        variance, (one, first.values.size - 1), (other, second.values.size - 1), (sampling, samples)
    )
    return t_comparison(difference, math.sqrt(variance), confidence, degrees, half_width)


def _degrees_of_difference(first: NetworkMetrics, second: NetworkMetrics) -> float:
    """Return the degrees of freedom of the sampling variance of the difference of the means."""
    one, other = first.mean_over_networks(), second.mean_over_networks()
    influences = one.influences - other.subtracted_influences()
    return NetworkMetrics(one.values - other.values, influences, one.binomial_n, one.strata).degrees_of_freedom()


def _training_variance(values: NDArray[np.float64]) -> float:
    """Return the mean square over seeds, divided by their number: the variance of their mean."""
    if values.size < 2:
        raise ValueError(f"{values.size} seed has no training variance; train at least two, or use fixed networks")
    return float(values.var(ddof=1) / values.size)


def _mean_covariance(covariance: NDArray[np.float64]) -> float:
    """Return the mean covariance of two different seeds."""
    seeds = covariance.shape[0]
    return float((covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1)))


def _satterthwaite(variance: float, *parts: tuple[float, float]) -> float:
    """Return Satterthwaite's degrees of freedom of a variance, from its parts and the degrees of freedom of each."""
    uncertainty = sum(part**2 / degrees for part, degrees in parts)
    return variance**2 / uncertainty if uncertainty > 0 else math.inf
