"""Tests of methods across several data sets, each data set one observation: signs, signed ranks, mean ranks.

Source: Demsar 2006 (JMLR 7:1), who explains why averages over data sets and their t-test should not be used.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.auc import Array

MOST_SUMS = 1_000_000
"""Number of rank sums, over all data sets, that are added up for an exact p-value of Friedman's test: about 2 s."""


@dataclass(frozen=True)
class SignTest:
    """Numbers of data sets on which the first method is better, worse and equal, and the two-sided exact p-value."""

    wins: int
    losses: int
    ties: int
    p: float


@dataclass(frozen=True)
class SignedRankTest:
    """Sums of the ranks of positive and of negative differences, number of data sets, and the two-sided p-value."""

    above: float
    below: float
    datasets: int
    p: float


@dataclass(frozen=True)
class FriedmanTest:
    """Mean rank of each method (1 is best), Friedman's chi-square, Iman and Davenport's F, and the p-value.

    is_exact: whether the p-value is exact over all permutations; else that of F, which is too small on few data sets.
    """

    mean_ranks: tuple[float, ...]
    chi_square: float
    f: float
    p: float
    is_exact: bool


def sign_test(differences: Array) -> SignTest:
    """Test whether one method wins on more data sets than by chance.

    Ties are split evenly between the two methods; of an odd number one is dropped.

    Args:
        differences: (D,) first minus second, one per data set.

    Raises:
        ValueError: for nan.
    """
    _check(differences)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = differences.size - wins - losses
    counted = wins + losses + 2 * (ties // 2)
    p = float(stats.binomtest(wins + ties // 2, counted).pvalue) if counted else 1.0
    return SignTest(wins, losses, ties, p)


def signed_rank_test(differences: Array) -> SignedRankTest:
    """Test by Wilcoxon's signed ranks: like the sign test, but larger differences count for more.

    Differences of equal size share their mean rank. The ranks of zeros are split evenly between the two sums; of an odd
    number of zeros one is dropped. The p-value is exact over all signs of the other differences, given their ranks.

    Args:
        differences: (D,) first minus second, one per data set.

    Raises:
        ValueError: for nan.

    Source: Wilcoxon 1945; zeros as Demsar 2006, section 3.1.3; null distribution given the ties of Pratt 1959.
    """
    _check(differences)
    kept = differences
    if (differences == 0).sum() % 2:
        kept = np.delete(differences, int(np.flatnonzero(differences == 0)[0]))
    ranks = stats.rankdata(np.abs(kept))
    above, below, zeros = (float(ranks[side].sum()) for side in (kept > 0, kept < 0, kept == 0))
    p = _exact_signed_rank_p(ranks[kept != 0], min(above, below))
    return SignedRankTest(above + zeros / 2, below + zeros / 2, kept.size, p)


def mean_ranks(values: Array) -> NDArray[np.float64]:
    """Compute the mean rank of M methods over D data sets, (M,); 1 is best, equal methods share their mean rank.

    Args:
        values: (D, M), larger is better.

    Raises:
        ValueError: for nan or another shape.
    """
    return np.asarray(_rank_table(values).mean(axis=0))


def friedman_test(values: Array) -> FriedmanTest:
    """Test whether any of M methods ranks differently from chance over D data sets.

    chi_square is corrected for ties. F = (D - 1) chi_square / (D (M - 1) - chi_square), with M - 1 and (M - 1) (D - 1)
    degrees of freedom, is infinite if all data sets rank the methods alike. The p-value is exact, the share of all
    permutations of the ranks within data sets whose chi_square is at least as large, unless that takes more than
    MOST_SUMS sums (up to 4 methods on at least 10 data sets do not); then it is that of F.

    Args:
        values: (D, M), D and M at least 2, larger is better.

    Raises:
        ValueError: for nan or another shape.

    Source: Friedman 1937; Iman and Davenport 1980; Conover 1999, section 5.8.
    """
    # scipy.stats.friedmanchisquare has no exact p-value and needs three methods.
    ranks = _rank_table(values)
    datasets, methods = ranks.shape
    if datasets < 2 or methods < 2:
        raise ValueError(f"values are {ranks.shape}; expected at least two data sets and two methods")
    means = ranks.mean(axis=0)
    scatter = float(np.square(ranks - (methods + 1) / 2).sum())
    if not scatter:
        return FriedmanTest(tuple(map(float, means)), 0.0, 0.0, 1.0, is_exact=True)
    between = float(np.square(means - (methods + 1) / 2).sum())
    chi_square = datasets**2 * (methods - 1) * between / scatter
    rest = datasets * (methods - 1) - chi_square
    f = (datasets - 1) * chi_square / rest if rest > 1e-9 else math.inf
    # If all rank alike, every other data set must have drawn the order of the first.
    exact = _orders(ranks[0]) ** (1.0 - datasets) if math.isinf(f) else _exact_friedman_p(ranks)
    p = float(stats.f.sf(f, methods - 1, (methods - 1) * (datasets - 1))) if exact is None else exact
    return FriedmanTest(tuple(map(float, means)), chi_square, f, p, is_exact=exact is not None)


def _check(differences: Array) -> None:
    if differences.ndim != 1:
        raise ValueError(f"differences are {differences.shape}; expected one per data set")
    if np.isnan(differences).any():
        raise ValueError("differences contain nan; leave out missing data sets")


def _rank_table(values: Array) -> NDArray[np.float64]:
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values are {values.shape}; expected (data sets, methods)")
    if np.isnan(values).any():
        raise ValueError("values contain nan; leave out missing data sets")
    return np.asarray(stats.rankdata(-values, axis=1))


def _exact_signed_rank_p(ranks: NDArray[np.float64], smaller: float) -> float:
    """Compute 2 P(sum of the positive ranks <= smaller) over all signs, at most 1."""
    # Not scipy.stats.wilcoxon: with ties it enumerates all 2^n signs, which takes 5 s for 13 data sets and 42 s for 16.
    # Ranks are multiples of one half, so their doubled sums are indices of a table.
    doubled = (2 * ranks).astype(np.int64)
    probabilities = np.zeros(doubled.sum() + 1)
    probabilities[0] = 1.0
    for rank in doubled:
        probabilities /= 2
        probabilities[rank:] = probabilities[rank:] + probabilities[: probabilities.size - rank]
    return min(1.0, 2 * float(probabilities[: int(2 * smaller) + 1].sum()))


def _orders(ranks: NDArray[np.float64]) -> int:
    """Return the number of distinct orders of the ranks of one data set, which may be tied."""
    ties = np.unique(ranks, return_counts=True)[1].tolist()
    return math.factorial(ranks.size) // math.prod(map(math.factorial, ties))


def _exact_friedman_p(ranks: NDArray[np.float64]) -> float | None:
    """Compute the share of permutations of the ranks within data sets whose rank sums scatter at least as much.

    None if that takes more than MOST_SUMS sums.
    """
    doubled = (2 * ranks).astype(np.int64)  # Integers, so that equal sums are equal keys.
    ways = Counter({(0,) * doubled.shape[1]: 1})
    orders, left = math.factorial(doubled.shape[1]), MOST_SUMS
    for row in doubled.tolist():
        left -= orders * len(ways)
        if left < 0:
            return None
        extended: Counter[tuple[int, ...]] = Counter()
        for order in permutations(row):
            for sums, count in ways.items():
                # Sorted, since it does not matter which method has which sum.
                extended[tuple(sorted(map(sum, zip(sums, order, strict=True))))] += count
        ways = extended
    # All rank sums have the same mean, so their squares order them as chi_square does.
    observed = int(np.square(doubled.sum(axis=0)).sum())
    extreme = sum(count for sums, count in ways.items() if sum(one * one for one in sums) >= observed)
    return extreme / ways.total()
