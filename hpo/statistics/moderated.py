"""Variances of many comparisons made together: each is moderated by what all of them say.

A variance from three folds may come out ten times too small by chance, and with it the interval. Where many
configurations were trained on the same folds, the variances of all their differences tell what is usual; each is then
drawn towards that, the more, the more alike they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.statistics.distributions import digamma, trigamma
from hpo.statistics.measured import Array

FEWEST = 6
"""Configurations below which their variances say too little of each other."""


@dataclass(frozen=True)
class Moderation:
    """What is usual: a variance, how many degrees of freedom that is worth, and the most that a comparison can have."""

    variance: float
    degrees: float
    most: float

    def of(self, variance: float, degrees: float) -> tuple[float, float]:
        """A variance with its degrees of freedom, drawn towards the usual one."""
        if math.isinf(self.degrees):
            return self.variance, self.most
        together = self.degrees + degrees
        return (self.degrees * self.variance + degrees * variance) / together, min(together, self.most)


def moderation(values: Sequence[Array]) -> Moderation | None:
    """From the values of configurations on the same (repeats, folds); None for fewer than FEWEST or without spread.

    The variances of the differences of all pairs are taken as draws from a scaled inverse chi-squared distribution,
    fitted by the moments of their logarithms. Pairs share configurations, so a comparison gets no more degrees of
    freedom than an analysis of variance of configurations and folds would have.
    Source: Smyth 2004 (Stat. Appl. Genet. Mol. Biol. 3:3), section 6.2.
    """
    if len(values) < FEWEST:
        return None
    table = np.stack([value.ravel() for value in values])
    first, second = np.triu_indices(len(table), k=1)
    variances = (table[first] - table[second]).var(axis=1, ddof=1)
    variances = variances[variances > 0]
    if variances.size < FEWEST:
        return None
    degrees = table.shape[1] - 1
    logs = np.log(variances) - digamma(degrees / 2) + math.log(degrees / 2)
    prior = _degrees_with_trigamma(float(logs.var(ddof=1)) - trigamma(degrees / 2))
    shift = 0.0 if math.isinf(prior) else digamma(prior / 2) - math.log(prior / 2)
    return Moderation(float(math.exp(logs.mean() + shift)), prior, (len(table) - 1) * degrees)


def _degrees_with_trigamma(value: float) -> float:
    """The d with trigamma(d / 2) = value; infinite for a value of 0 or less, where variances differ by chance only."""
    if value <= 0:
        return math.inf
    low, high = math.log(1e-3), math.log(1e7)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if trigamma(math.exp(middle) / 2) > value else (low, middle)
    return math.exp(low)
