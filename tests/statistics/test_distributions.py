"""The normal, t and F distributions against scipy and against tables."""

from __future__ import annotations

import math

import pytest
from scipy import special, stats

from hpo.statistics.distributions import (
    digamma,
    f_upper_tail,
    incomplete_beta,
    normal_cdf,
    normal_quantile,
    trigamma,
    two_sided_p,
    two_sided_quantile,
)


@pytest.mark.parametrize("degrees", [0.5, 1, 2, 3.7, 12.74, 100, 9999, 999_999])
@pytest.mark.parametrize("t", [0.0, 0.1, 1.0, 2.5, 9.0, 40.0])
def test_p_of_students_t_equals_scipys(t: float, degrees: float) -> None:
    assert two_sided_p(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=2e-9, abs=1e-300)


@pytest.mark.parametrize("degrees", [0.2, 1, 2, 3.7, 12.74, 100, 9999])
@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.9, 0.95, 0.99999])
def test_quantile_of_students_t_equals_scipys(confidence: float, degrees: float) -> None:
    assert two_sided_quantile(confidence, degrees) == pytest.approx(
        stats.t.isf((1 - confidence) / 2, degrees), rel=1e-8
    )


def test_quantiles_are_those_of_the_printed_tables() -> None:
    printed = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 30: 2.042, math.inf: 1.960}
    assert {degrees: round(two_sided_quantile(0.95, degrees), 3) for degrees in printed} == printed


def test_the_passage_to_the_normal_distribution_leaves_no_step() -> None:
    assert two_sided_quantile(0.95, 999_999) == pytest.approx(two_sided_quantile(0.95, 1_000_001), rel=2e-6)
    assert two_sided_p(2.0, 999_999) == pytest.approx(two_sided_p(2.0, 1_000_001), rel=1e-5)


def test_an_infinite_t_has_p_zero_and_t_zero_has_p_one() -> None:
    assert two_sided_p(math.inf, 3) == 0.0
    assert two_sided_p(0.0, 3) == 1.0


@pytest.mark.parametrize(
    ("value", "numerator", "denominator"), [(0.0, 3, 5), (1.0, 1, 1), (4.4, 6, 36), (30.0, 2, 7.5)]
)
def test_tail_of_f_equals_scipys(value: float, numerator: float, denominator: float) -> None:
    assert f_upper_tail(value, numerator, denominator) == pytest.approx(
        stats.f.sf(value, numerator, denominator), rel=1e-11
    )


@pytest.mark.parametrize("x", [0.0, 0.01, 0.4, 0.99, 1.0])
@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (3, 8), (200, 0.5), (0.1, 40)])
def test_incomplete_beta_equals_scipys(x: float, a: float, b: float) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-10, abs=1e-300)


def test_the_normal_distribution_holds_its_precision_in_both_tails() -> None:
    for z in (-12.0, -1.96, 0.0, 1.96):
        assert normal_cdf(z) == pytest.approx(stats.norm.cdf(z), rel=1e-13)
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054, rel=1e-14)


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 2.5, 9.99, 10.0, 1e4])
def test_derivatives_of_log_gamma_equal_scipys(x: float) -> None:
    assert digamma(x) == pytest.approx(special.digamma(x), rel=1e-12)
    assert trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-12)
