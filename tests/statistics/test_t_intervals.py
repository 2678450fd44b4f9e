"""Student's t against printed tables; intervals from a value and its error, with and without spread."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from hpo.statistics.intervals import clipped_interval
from hpo.statistics.t_intervals import proportion_estimate, t_comparison, t_p_value, t_quantile


def test_quantiles_are_those_of_printed_tables() -> None:
    printed = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 30: 2.042, math.inf: 1.960}
    assert {degrees: round(t_quantile(0.95, degrees), 3) for degrees in printed} == printed


@pytest.mark.parametrize("degrees", [1, 2])
@pytest.mark.parametrize("t", [0.0, 0.1, 2.5, 40.0, math.inf])
def test_p_of_one_and_two_degrees_is_their_closed_form(t: float, degrees: int) -> None:
    closed = math.atan2(1, t) * 2 / math.pi if degrees == 1 else 1 - t / math.sqrt(2 + t * t) if t < math.inf else 0.0
    assert t_p_value(t, degrees) == t_p_value(-t, degrees) == pytest.approx(closed, rel=1e-12)


def test_normal_p_and_quantile_hold_their_precision_far_out() -> None:
    # Abramowitz and Stegun, table 26.2: -log10 of one tail at z = 10.
    assert -math.log10(t_p_value(10.0) / 2) == pytest.approx(23.11805, abs=1e-5)
    assert t_quantile(0.95) == pytest.approx(1.959963984540054, rel=1e-14)


@pytest.mark.parametrize("degrees", [0.5, 3.7, 12.74, 1e7])
@pytest.mark.parametrize("confidence", [0.01, 0.95, 0.99999])
def test_quantile_and_p_are_inverse_for_fractional_degrees(confidence: float, degrees: float) -> None:
    assert t_p_value(t_quantile(confidence, degrees), degrees) == pytest.approx(1 - confidence, rel=1e-9)


def test_a_plain_interval_is_the_value_and_so_many_errors() -> None:
    estimate = proportion_estimate(0.8, 0.05, 20, 0.95, math.inf, "plain")
    assert (estimate.low, estimate.high) == pytest.approx((0.8 - 1.959964 * 0.05, 0.8 + 1.959964 * 0.05), abs=1e-7)


def test_a_logit_interval_is_symmetric_in_the_logit_and_stays_within_zero_and_one() -> None:
    estimate = proportion_estimate(0.97, 0.03, 20, 0.95, math.inf, "logit")
    low, value, high = (math.log(share / (1 - share)) for share in (estimate.low, 0.97, estimate.high))
    assert high - value == pytest.approx(value - low)
    assert high - value == pytest.approx(1.959964 * 0.03 / (0.97 * 0.03), rel=1e-6)
    assert proportion_estimate(0.97, 0.03, 20, 0.95, math.inf, "plain").high > 1 > estimate.high


@pytest.mark.parametrize("scale", ["logit", "plain"])
def test_a_value_of_one_has_clopper_and_pearsons_interval(scale: str) -> None:
    estimate = proportion_estimate(1.0, 0.0, 22, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert estimate.low**22 == pytest.approx(0.025)
    assert estimate.high == 1.0
    mirrored = proportion_estimate(0.0, 0.0, 22, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert (mirrored.low, mirrored.high) == pytest.approx((0.0, 1 - estimate.low))


@pytest.mark.parametrize("scale", ["logit", "plain"])
def test_any_value_without_spread_has_clopper_and_pearsons_interval(scale: str) -> None:
    exact = stats.binomtest(11, 22).proportion_ci(0.95, method="exact")
    estimate = proportion_estimate(0.5, 0.0, 22, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert (estimate.low, estimate.high) == pytest.approx((exact.low, exact.high))
    half = proportion_estimate(0.5, 0.0, 5, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert half.low < stats.binomtest(2, 5).proportion_ci(0.95).high
    assert 0 < half.low < 0.2 < 0.8 < half.high < 1


def test_a_large_logit_does_not_overflow() -> None:
    estimate = proportion_estimate(1 - 1e-12, 0.5, 20, 0.95, math.inf, "logit")
    assert 0 <= estimate.low < estimate.high <= 1


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_zero_and_one_raises(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"confidence\D+{confidence}"):
        proportion_estimate(0.5, 0.1, 5, confidence, math.inf, "plain")
    with pytest.raises(ValueError, match=rf"confidence\D+{confidence}"):
        t_comparison(0.5, 0.1, confidence)


def test_two_are_distinguishable_exactly_if_p_is_below_one_minus_confidence() -> None:
    for difference in (-0.3, -0.1, 0.05, 0.18, 0.2, 0.4):
        comparison = t_comparison(difference, 0.1, 0.95, 5.5)
        assert comparison.is_distinguishable == (comparison.p < 0.05)


def test_a_difference_without_spread_is_not_taken_for_certain() -> None:
    comparison = t_comparison(0.5, 0.0, 0.95, degenerate_half_width=1.0)
    assert (comparison.low, comparison.high) == (-1.0, 1.0)
    assert math.isnan(comparison.p)
    assert not comparison.is_distinguishable
    assert t_comparison(0.0, 0.0, 0.95, degenerate_half_width=1.0).p == 1.0


@pytest.mark.parametrize("degrees", [1, 1.4, 2, 4, 24.7, 1e6, math.inf])
@pytest.mark.parametrize("confidence", [0.95, 0.95**0.5])
def test_what_would_have_been_found_four_times_in_five_is_found_so_often(degrees: float, confidence: float) -> None:
    comparison = t_comparison(0.03, 0.1, confidence, degrees)
    quantile = t_quantile(confidence, degrees)
    true = comparison.detectable / 0.1
    is_normal = math.isinf(degrees)
    power = stats.norm.sf(quantile, true) if is_normal else stats.nct.sf(quantile, degrees, true)
    assert power == pytest.approx(0.8, abs=1e-6)
    assert math.isinf(t_comparison(0.5, 0.0, confidence, degrees).detectable)


def test_an_interval_without_an_error_is_unknown_and_one_with_is_clipped() -> None:
    assert clipped_interval(1.0, 0.0) == (None, None)
    assert clipped_interval(0.99, 0.02) == pytest.approx((0.99 - 1.959964 * 0.02, 1.0))
