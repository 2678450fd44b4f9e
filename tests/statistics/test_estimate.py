"""Intervals from a value and its error: their scale, and what is said where no spread was seen."""

from __future__ import annotations

import math

import pytest

from hpo.statistics.estimate import compared, share_estimate


def test_a_plain_interval_is_the_value_and_so_many_errors() -> None:
    estimate = share_estimate(0.8, 0.05, 20, 0.95, math.inf, "plain")
    assert (estimate.low, estimate.high) == pytest.approx((0.8 - 1.959964 * 0.05, 0.8 + 1.959964 * 0.05), abs=1e-7)


def test_a_logit_interval_is_symmetric_in_the_logit_and_stays_within_zero_and_one() -> None:
    estimate = share_estimate(0.97, 0.03, 20, 0.95, math.inf, "logit")
    low, value, high = (math.log(share / (1 - share)) for share in (estimate.low, 0.97, estimate.high))
    assert high - value == pytest.approx(value - low)
    assert high - value == pytest.approx(1.959964 * 0.03 / (0.97 * 0.03), rel=1e-6)
    assert share_estimate(0.97, 0.03, 20, 0.95, math.inf, "plain").high > 1 > estimate.high


@pytest.mark.parametrize("scale", ["logit", "plain"])
def test_a_value_of_one_has_the_interval_of_throws_that_all_fell_the_same_way(scale: str) -> None:
    estimate = share_estimate(1.0, 0.0, 22, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert estimate.low**22 == pytest.approx(0.025)
    assert estimate.high == 1.0
    mirrored = share_estimate(0.0, 0.0, 22, 0.95, math.inf, scale)  # type: ignore[arg-type]
    assert (mirrored.low, mirrored.high) == pytest.approx((0.0, 1 - estimate.low))


def test_a_large_logit_does_not_overflow() -> None:
    estimate = share_estimate(1 - 1e-12, 0.5, 20, 0.95, math.inf, "logit")
    assert 0 <= estimate.low < estimate.high <= 1


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_is_no_share_raises(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"confidence\D+{confidence}"):
        share_estimate(0.5, 0.1, 5, confidence, math.inf, "plain")
    with pytest.raises(ValueError, match=rf"confidence\D+{confidence}"):
        compared(0.5, 0.1, confidence)


def test_a_comparison_tells_two_apart_exactly_if_its_p_is_below_one_minus_confidence() -> None:
    for difference in (-0.3, -0.1, 0.05, 0.18, 0.2, 0.4):
        comparison = compared(difference, 0.1, 0.95, 5.5)
        assert comparison.told_apart == (comparison.p < 0.05)


def test_a_comparison_in_words_has_its_numbers_and_more_to_say_where_the_two_cannot_be_told_apart() -> None:
    clear, open_ = str(compared(0.3, 0.1, 0.95)), str(compared(0.1, 0.1, 0.95))
    assert clear == "+0.300 [+0.104, +0.496], p = 0.0027"
    numbers = "+0.100 [-0.096, +0.296], p = 0.32"
    assert open_.startswith(numbers)
    assert len(open_) > len(numbers)


def test_a_difference_without_spread_is_not_taken_for_certain() -> None:
    comparison = compared(0.5, 0.0, 0.95, reach=1.0)
    assert (comparison.low, comparison.high) == (-1.0, 1.0)
    assert math.isnan(comparison.p)
    assert not comparison.told_apart
    assert compared(0.0, 0.0, 0.95, reach=1.0).p == 1.0
