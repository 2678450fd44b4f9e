"""Moderated variances: each variance of many comparisons is shrunk towards what is typical of all of them.

A variance estimated from three folds may come out ten times too small by chance, and the interval with it. Where many
configurations were trained on the same folds, the variances of all their differences show what is typical; each is
shrunk towards that, the more, the more alike they are (limma's empirical Bayes for genes, here for configurations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from hpo.statistics.auc import Array

MIN_CONFIGURATIONS = 6
"""Number of configurations below which their variances are too few to estimate a prior from."""


@dataclass(frozen=True)
class VariancePrior:
    """Scaled inverse chi-squared prior of the variance of a difference.

    Attributes:
        variance: typical variance, s0^2 in the source; the mean variance if they differ by chance only.
        degrees: degrees of freedom that the prior is worth, d0 in the source; infinity if variances differ by chance
            only.
        max_degrees: upper bound for the degrees of freedom of one comparison.
    """

    variance: float
    degrees: float
    max_degrees: float

    def moderate(self, variance: float, degrees: float) -> tuple[float, float]:
        """Shrink a variance with its degrees of freedom towards the typical one; return both, moderated."""
        if math.isinf(self.degrees):
            return self.variance, self.max_degrees
        total = self.degrees + degrees
        return (self.degrees * self.variance + degrees * variance) / total, min(total, self.max_degrees)


def fit_variance_prior(values: Sequence[Array]) -> VariancePrior | None:
    """Fit the prior to the variances of the differences of all pairs of configurations.

    Pairs share configurations, so a comparison gets no more degrees of freedom than an analysis of variance of
    configurations and folds would have.

    Args:
        values: AUCs of each configuration, (repeats, folds), on the same folds.

    Returns:
        The prior; None for fewer than MIN_CONFIGURATIONS, or if too few pairs have any variance.

    Source: moments of the logarithms of the variances, Smyth 2004 (Stat. Appl. Genet. Mol. Biol. 3:3), section 6.2; an
    infinite prior has the mean variance, as in limma since 2017.
    """
    if len(values) < MIN_CONFIGURATIONS:
        return None
    table = np.stack([value.ravel() for value in values])
    first, second = np.triu_indices(len(table), k=1)
    variances = (table[first] - table[second]).var(axis=1, ddof=1)
    variances = variances[variances > 0]
    if variances.size < MIN_CONFIGURATIONS:
        return None
    degrees = table.shape[1] - 1
    logs = np.log(variances) - special.digamma(degrees / 2) + math.log(degrees / 2)
    prior = _degrees_with_trigamma(float(logs.var(ddof=1)) - special.polygamma(1, degrees / 2))
    most = (len(table) - 1) * degrees
    if math.isinf(prior):
        return VariancePrior(float(variances.mean()), prior, most)
    shift = special.digamma(prior / 2) - math.log(prior / 2)
    return VariancePrior(float(math.exp(logs.mean() + shift)), prior, most)


def _degrees_with_trigamma(value: float) -> float:
    """Solve trigamma(d / 2) = value for d; infinity for a value of 0 or less, where variances differ by chance only."""
    if value <= 0:
        return math.inf
    # Bisection rather than scipy.optimize.brentq, whose import would add 0.17 s to `hpo confirm`.
    low, high = math.log(1e-3), math.log(1e7)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if special.polygamma(1, math.exp(middle) / 2) > value else (low, middle)
    return math.exp(low)
