"""Tests over data sets against Demsar's published example, scipy, and enumeration of all signs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics import across_datasets
from hpo.statistics.across_datasets import friedman_test, mean_ranks, sign_test, signed_rank_test

# Demsar 2006, table 2: AUC of C4.5 and of C4.5+m on 14 data sets.
C45 = np.array([763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957])
C45_M = np.array([768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978])


def enumerated(differences: NDArray) -> float:
    """Two-sided p of the sum of ranks with a plus over all signs of the differences that are not zero."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    sums = [
        sum(rank for rank, plus in zip(ranks, signs, strict=True) if plus)
        for signs in itertools.product((False, True), repeat=ranks.size)
    ]
    observed = min(ranks[differences[differences != 0] > 0].sum(), ranks[differences[differences != 0] < 0].sum())
    return min(1.0, 2 * float(np.mean(np.array(sums) <= observed + 1e-9)))


def test_sums_of_ranks_are_those_of_demsars_example() -> None:
    result = signed_rank_test(C45_M - C45)
    assert (result.above, result.below, result.datasets) == (93.0, 12.0, 14)
    # The paper rejects at 5 %, since 12 is below the critical value of 21 for 14 data sets.
    assert result.p < 0.05


def test_the_sign_test_counts_and_splits_ties_as_demsar_says() -> None:
    # 10 wins, 2 losses, 2 ties: 11 of 14. P(X >= 11) = (364 + 91 + 14 + 1) / 2^14.
    result = sign_test(C45_M - C45)
    assert (result.wins, result.losses, result.ties) == (10, 2, 2)
    assert result.p == pytest.approx(2 * 470 / 2**14)


def test_one_tie_of_an_odd_number_is_left_out_of_the_sign_test() -> None:
    assert sign_test(np.array([1, 1, 1, 1, 0])).p == sign_test(np.array([1, 1, 1, 1])).p == pytest.approx(2 / 16)


def test_seven_wins_of_seven_have_the_p_of_seven_throws() -> None:
    assert sign_test(np.arange(1.0, 8)).p == pytest.approx(2 / 128)
    assert signed_rank_test(np.arange(1.0, 8)).p == pytest.approx(2 / 128)


@pytest.mark.parametrize("size", [1, 4, 7, 14, 25, 60])
@pytest.mark.parametrize("seed", range(3))
def test_exact_p_without_ties_equals_scipys(size: int, seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.4, 1, size)
    assert signed_rank_test(differences).p == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


@pytest.mark.parametrize("seed", range(6))
def test_exact_p_with_ties_and_zeros_equals_the_enumeration_of_all_signs(seed: int) -> None:
    differences = np.random.default_rng(seed).integers(-2, 4, size=9)
    zeros = int((differences == 0).sum())
    kept = np.delete(differences, np.flatnonzero(differences == 0)[:1]) if zeros % 2 else differences
    assert signed_rank_test(differences).p == pytest.approx(enumerated(kept))


def test_the_two_sums_of_ranks_add_up_to_all_ranks() -> None:
    result = signed_rank_test(np.array([0, 0, 1, -1, 3, 2]))
    assert result.above + result.below == 21
    assert (result.above, result.below) == (1.5 + 3.5 + 6 + 5, 1.5 + 3.5)


def test_data_sets_that_are_all_equal_have_p_one() -> None:
    for size in (1, 4, 30):
        assert sign_test(np.zeros(size)).p == 1.0
        assert signed_rank_test(np.zeros(size)).p == 1.0


def test_swapped_methods_have_the_same_p() -> None:
    differences = C45_M - C45
    assert signed_rank_test(-differences).p == signed_rank_test(differences).p
    assert sign_test(-differences).p == sign_test(differences).p


def test_mean_ranks_give_the_best_one_and_split_ties() -> None:
    assert mean_ranks(np.array([[0.9, 0.8, 0.7], [0.5, 0.5, 0.1]])) == pytest.approx([1.25, 1.75, 3.0])


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [1000, 3])
def test_friedmans_chi_square_equals_scipys_with_and_without_ties(distinct: int) -> None:
    values = np.random.default_rng(1).integers(0, distinct, size=(7, 5)) + np.array([0, 0, distinct // 3, 0, 0])
    result = friedman_test(values)
    assert result.chi_square == pytest.approx(stats.friedmanchisquare(*values.T).statistic)
    assert result.f == pytest.approx(6 * result.chi_square / (7 * 4 - result.chi_square))


def test_friedmans_statistics_are_those_of_demsars_example(monkeypatch: pytest.MonkeyPatch) -> None:
    # Demsar 2006, table 6: ranks of four methods on 14 data sets. His chi-square of 9.28 is not corrected for the ties,
    # three pairs and one of all four: 1 - (3 * 6 + 60) / (14 * 60).
    ranks = np.array(
        [[4, 1, 4, 4, 4, 1, 3, 2.5, 4, 2.5, 4, 3, 4, 3], [3, 2, 1, 1, 2, 2.5, 2, 2.5, 3, 2.5, 2.5, 2, 1, 1],
         [2, 3, 2, 3, 3, 4, 4, 4, 2, 2.5, 1, 4, 2, 4], [1, 4, 3, 2, 1, 2.5, 1, 1, 1, 2.5, 2.5, 1, 3, 2]]
    ).T  # fmt: skip
    monkeypatch.setattr(across_datasets, "MOST_SUMS", 0)  # The published p is that of F.
    result = friedman_test(-ranks)
    assert result.mean_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert result.chi_square * (1 - 78 / 840) == pytest.approx(9.28, abs=0.01)


@pytest.mark.slow
def test_friedmans_p_on_many_data_sets_is_the_tail_of_f() -> None:
    # With 2 degrees of freedom above and d below, P(F >= f) = (1 + 2 f / d)^(-d / 2).
    result = friedman_test(np.random.default_rng(0).normal(size=(400, 3)) + np.array([0.0, 0.0, 0.1]))
    assert not result.is_exact
    assert result.p == pytest.approx((1 + 2 * result.f / 798) ** -399, rel=1e-9)
    assert 1e-4 < result.p < 0.5


def test_an_exact_p_of_friedman_is_given_up_where_it_would_take_long() -> None:
    random = np.random.default_rng(0)
    few, many = (friedman_test(random.random((datasets, methods))) for datasets, methods in ((7, 4), (25, 6)))
    assert (few.is_exact, many.is_exact) == (True, False)
    assert 0 < many.p < 1


def test_where_all_data_sets_agree_ties_and_all_friedmans_p_counts_the_orders_of_tied_ranks() -> None:
    result = friedman_test(np.tile([0.1, 0.2, 0.2], (5, 1)))
    assert result.is_exact
    assert result.p == pytest.approx(1 / 3**4)


@pytest.mark.parametrize(("size", "methods", "distinct"), [(3, 3, 3), (5, 3, 100), (3, 4, 3), (3, 2, 100)])
def test_friedmans_p_is_the_share_of_all_dealings_of_ranks_that_are_as_extreme(
    size: int, methods: int, distinct: int
) -> None:
    values = np.random.default_rng(2).integers(0, distinct, size=(size, methods))
    orders = list(itertools.permutations(range(methods)))
    found = friedman_test(values)
    ranks = stats.rankdata(-values, axis=1)
    dealt = [
        friedman_chi_square(np.stack([row[list(order)] for row, order in zip(ranks, dealing, strict=True)]))
        for dealing in itertools.product(orders, repeat=size)
    ]
    assert found.p == pytest.approx(np.mean(np.array(dealt) >= found.chi_square - 1e-9))


def test_friedmans_p_is_that_of_published_tables() -> None:
    """Three methods on three data sets, rank sums 4, 5 and 9: chi-square 4.667, p = .194 in Friedman's exact tables."""
    found = friedman_test(-np.array([[1, 2, 3], [2, 1, 3], [1, 2, 3]]))
    assert found.chi_square == pytest.approx(14 / 3)
    assert found.p == pytest.approx(0.194, abs=5e-4)


def friedman_chi_square(ranks: np.ndarray) -> float:
    """Conover 1999, 5.8, with the correction for ties."""
    size, methods = ranks.shape
    scatter = np.square(ranks - (methods + 1) / 2).sum()
    between = np.square(ranks.mean(axis=0) - (methods + 1) / 2).sum()
    return float(size**2 * (methods - 1) * between / scatter) if scatter else 0.0


def test_friedmans_p_where_all_data_sets_agree_is_the_share_of_rankings_that_do() -> None:
    result = friedman_test(np.tile([0.1, 0.2, 0.3], (4, 1)))
    assert result.mean_ranks == (3.0, 2.0, 1.0)
    assert math.isinf(result.f)
    assert result.p == pytest.approx(1 / 6**3)


def test_methods_that_are_all_equal_have_friedmans_p_one() -> None:
    assert friedman_test(np.ones((5, 3))).p == 1.0


def test_missing_data_sets_raise_rather_than_being_ranked() -> None:
    with pytest.raises(ValueError, match="nan"):
        sign_test(np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="nan"):
        mean_ranks(np.array([[0.1, np.nan]]))
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        friedman_test(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        signed_rank_test(np.ones((2, 3)))
