"""Comparing methods over several data sets, each data set one observation: signs, signed ranks, mean ranks.

Source of all: Demsar 2006 (JMLR 7:1), who tells why averages over data sets and their t-test should not be used.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.distributions import f_upper_tail, two_sided_p
from hpo.statistics.measured import Array

EXACT = 25
"""Up to so many data sets the signed-rank test and Friedman's enumerate; beyond, they take an approximation."""

EXACT_METHODS = 4
"""Up to so many methods Friedman's test enumerates."""


@dataclass(frozen=True)
class SignTest:
    """Data sets on which the first method was better, worse and equal, and the two-sided exact p."""

    wins: int
    losses: int
    ties: int
    p: float


@dataclass(frozen=True)
class SignedRankTest:
    """Sums of the ranks of the differences above and below zero, data sets counted, and the two-sided p."""

    above: float
    below: float
    datasets: int
    p: float


@dataclass(frozen=True)
class FriedmanTest:
    """Mean rank of each method (1 is best), Friedman's chi-square, the F of Iman and Davenport, and p.

    p: exact or of F, see `friedman_test`.
    """

    mean_ranks: tuple[float, ...]
    chi_square: float
    f: float
    p: float


def sign_test(differences: Array) -> SignTest:
    """Whether one method wins on more data sets than chance would give it.

    differences: (D,) first minus second, one for each data set. Ties are split evenly between the two; of an odd number
    one is left out. p = 2 P(X >= more wins), X binomial with one half; 1 at most. Raises ValueError for nan.
    """
    _check(differences)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = differences.size - wins - losses
    more, thrown = max(wins, losses) + ties // 2, wins + losses + 2 * (ties // 2)
    tail = sum(math.comb(thrown, count) for count in range(more, thrown + 1)) / 2**thrown
    return SignTest(wins, losses, ties, min(1.0, 2 * tail))


def signed_rank_test(differences: Array) -> SignedRankTest:
    """Wilcoxon's signed-rank test: like the sign test, but a larger difference counts for more.

    differences: (D,) first minus second, one for each data set. Equal sizes share their mean rank. The ranks of zeros
    are split evenly between the two sums; of an odd number of zeros one is left out. p is exact over all signs of
    the other differences, given their ranks, up to 25 data sets, and normal beyond. Raises ValueError for nan.
    Source: Wilcoxon 1945; zeros as Demsar 2006, section 3.1.3; null distribution given the ties of Pratt 1959.
    """
    _check(differences)
    kept = differences
    if (differences == 0).sum() % 2:
        kept = np.delete(differences, int(np.flatnonzero(differences == 0)[0]))
    doubled = _doubled_ranks(np.abs(kept))
    zeros = int(doubled[kept == 0].sum())
    above, below = (int(doubled[side].sum()) for side in (kept > 0, kept < 0))
    signed = doubled[kept != 0]
    if kept.size <= EXACT:
        p = _exact_signs(signed, min(above, below))
    else:
        spread = math.sqrt(float(np.square(signed).sum()))
        p = two_sided_p((above - below) / spread) if spread else 1.0
    return SignedRankTest(above / 2 + zeros / 4, below / 2 + zeros / 4, kept.size, p)


def mean_ranks(values: Array) -> NDArray[np.float64]:
    """Mean rank of each of M methods over D data sets, (M,); 1 is best, equal methods share their mean rank.

    values: (D, M), larger is better. Raises ValueError for nan or another form.
    """
    return np.asarray(_rank_table(values).mean(axis=0) / 2)


def friedman_test(values: Array) -> FriedmanTest:
    """Whether any of M methods ranks otherwise than chance would have it, over D data sets.

    values: (D, M), larger is better; D and M are 2 or more. chi_square holds the correction for ties; F = (D - 1)
    chi_square / (D (M - 1) - chi_square), with M - 1 and (M - 1) (D - 1) degrees of freedom, infinite if all data sets
    rank the methods alike. For up to 4 methods on up to 25 data sets p is exact: the share of all ways to deal each
    data set's ranks to the methods that have a chi_square as large. Beyond it is that of F, too small on a handful.
    Raises ValueError for nan or another form. Source: Friedman 1937; Iman and Davenport 1980; Conover 1999, 5.8.
    """
    ranks = _rank_table(values) / 2
    datasets, methods = ranks.shape
    if datasets < 2 or methods < 2:
        raise ValueError(f"values are {ranks.shape}; give two data sets and two methods or more")
    means = ranks.mean(axis=0)
    scatter = float(np.square(ranks - (methods + 1) / 2).sum())
    if not scatter:
        return FriedmanTest(tuple(map(float, means)), 0.0, 0.0, 1.0)
    between = float(np.square(means - (methods + 1) / 2).sum())
    chi_square = datasets**2 * (methods - 1) * between / scatter
    rest = datasets * (methods - 1) - chi_square
    f = (datasets - 1) * chi_square / rest if rest > 1e-9 else math.inf
    if methods <= EXACT_METHODS and datasets <= EXACT:
        p = _exact_dealings(_rank_table(values))
    elif math.isinf(f):
        p = math.factorial(methods) ** (1.0 - datasets)
    else:
        p = f_upper_tail(f, methods - 1, (methods - 1) * (datasets - 1))
    return FriedmanTest(tuple(map(float, means)), chi_square, f, p)


def _check(differences: Array) -> None:
    if differences.ndim != 1:
        raise ValueError(f"differences are {differences.shape}; give one for each data set")
    if np.isnan(differences).any():
        raise ValueError("differences hold nan; leave out the data sets that are missing")


def _rank_table(values: Array) -> NDArray[np.int64]:
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values are {values.shape}; give (data sets, methods)")
    if np.isnan(values).any():
        raise ValueError("values hold nan; leave out the data sets that are missing")
    return np.stack([_doubled_ranks(-row) for row in values])


def _doubled_ranks(values: Array) -> NDArray[np.int64]:
    """Twice the rank of each value, 1 the smallest, equal values sharing their mean rank. (N,) int64."""
    ordered = np.sort(values)
    below, through = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray(below + through + 1, dtype=np.int64)


def _exact_signs(doubled_ranks: NDArray[np.int64], smaller: int) -> float:
    """2 P(sum of the ranks with a plus <= smaller) over all signs, 1 at most."""
    counts = np.zeros(int(doubled_ranks.sum()) + 1, dtype=np.int64)
    counts[0] = 1
    for rank in doubled_ranks:
        counts[rank:] = counts[rank:] + counts[: counts.size - rank]
    return min(1.0, 2 * int(counts[: smaller + 1].sum()) / 2.0**doubled_ranks.size)


def _exact_dealings(doubled_ranks: NDArray[np.int64]) -> float:
    """Share of all ways to deal each row's ranks to the columns whose rank sums scatter at least as much as these."""
    ways = Counter({(0,) * doubled_ranks.shape[1]: 1})
    for row in doubled_ranks.tolist():
        dealt: Counter[tuple[int, ...]] = Counter()
        for order in permutations(row):
            for sums, count in ways.items():
                # Which column has which sum does not matter.
                dealt[tuple(sorted(map(sum, zip(sums, order, strict=True))))] += count
        ways = dealt
    # All rank sums have the same mean, so their squares order them as chi_square does.
    observed = int(np.square(doubled_ranks.sum(axis=0)).sum())
    extreme = sum(count for sums, count in ways.items() if sum(one * one for one in sums) >= observed)
    return extreme / ways.total()
