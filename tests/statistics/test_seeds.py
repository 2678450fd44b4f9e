"""Means over seeds and rows against the published Obuchowski-Rockette analysis of Van Dyke's data, and in limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.statistics.delong import difference_of_networks, mean_of_networks
from hpo.statistics.measured import Measured, measured_auc
from hpo.statistics.seeds import difference_over_seeds, mean_on_these_rows, mean_over_seeds

# Van Dyke et al. 1993: 5 readers, 114 cases, 2 treatments. Reader AUCs, covariances and the results below are printed
# in Chakraborty's RJafroc book, chapter "Obuchowski Rockette Applications", some to more digits in the output of OR-DBM
# MRMC 2.51 (Iowa) that RJafroc keeps beside its tests.
FIRST = np.array([0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066])
SECOND = np.array([0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169])
VARIANCE, SAME_READER, SAME_TREATMENT, NEITHER = 8.0228827e-4, 3.4661371e-4, 3.4407483e-4, 2.3902837e-4


def with_covariance(values: NDArray, covariance: NDArray) -> Measured:
    """Measured values whose influences multiply to this covariance."""
    return Measured(values, np.linalg.cholesky(covariance), throws=40)


def compound(variance: float, covariance: float, readers: int = 5) -> NDArray:
    return np.full((readers, readers), covariance) + np.eye(readers) * (variance - covariance)


@pytest.fixture
def van_dyke() -> tuple[Measured, Measured]:
    own, across = compound(VARIANCE, SAME_TREATMENT), compound(SAME_READER, NEITHER)
    influences = np.linalg.cholesky(np.block([[own, across], [across, own]]))
    return Measured(FIRST, influences[:5], 40), Measured(SECOND, influences[5:], 40)


@pytest.mark.parametrize(
    ("values", "variance", "covariance", "error", "degrees", "low", "high"),
    [
        (FIRST, 0.00101410, 0.00048396, 0.03317, 12.74, 0.8252, 0.9689),
        (SECOND, 0.0005905, 0.0002042, 0.02157, 12.71, 0.8941, 0.9875),
    ],
    ids=["first", "second"],
)
def test_one_treatment_over_readers_and_cases_is_as_published(
    values: NDArray, variance: float, covariance: float, error: float, degrees: float, low: float, high: float
) -> None:
    estimate = mean_over_seeds(with_covariance(values, compound(variance, covariance)), scale="plain")
    assert estimate.error == pytest.approx(error, abs=6e-6)
    assert estimate.degrees == pytest.approx(degrees, abs=0.01)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)


def test_one_treatment_over_cases_only_is_as_published() -> None:
    measured = with_covariance(FIRST, compound(0.00101410, 0.00048396))
    estimate = mean_of_networks(measured, scale="plain")
    assert estimate.error == pytest.approx(0.02428971, abs=2e-7)
    assert (estimate.low, estimate.high) == pytest.approx((0.84943008, 0.94464399), abs=3e-7)


def test_the_matched_difference_over_readers_and_cases_is_as_published(van_dyke: tuple[Measured, Measured]) -> None:
    comparison = difference_over_seeds(*van_dyke, matched=True)
    assert comparison.difference == pytest.approx(-0.043800322, abs=1e-8)
    assert comparison.degrees == pytest.approx(15.26, abs=0.005)
    assert comparison.p == pytest.approx(0.05167, abs=6e-6)
    assert (comparison.low, comparison.high) == pytest.approx((-0.0879595, 0.0003589), abs=6e-8)


def test_the_difference_over_cases_only_is_as_published(van_dyke: tuple[Measured, Measured]) -> None:
    comparison = difference_of_networks(*van_dyke)
    assert comparison.error == pytest.approx(0.01872, abs=6e-6)
    assert comparison.p == pytest.approx(0.01928, abs=6e-6)
    assert (comparison.low, comparison.high) == pytest.approx((-0.08049, -0.007115), abs=6e-6)


def test_nested_seeds_have_the_variances_of_both_spreads_and_the_rows(van_dyke: tuple[Measured, Measured]) -> None:
    # Of the 25 pairs of a seed here and one there, 5 are of one reader; nested seeds know no such pairs.
    one, other = FIRST.var(ddof=1) / 5, SECOND.var(ddof=1) / 5
    rows = 2 * (SAME_TREATMENT - (20 * NEITHER + 5 * SAME_READER) / 25)
    comparison = difference_over_seeds(*van_dyke)
    assert comparison.error == pytest.approx(math.sqrt(one + other + rows), rel=1e-9)
    assert comparison.degrees == pytest.approx((one + other + rows) ** 2 / (one**2 / 4 + other**2 / 4), rel=1e-9)


def drawn(networks: int, seed: int, spread: float) -> Measured:
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [30, 70])
    shifts = 1.5 + spread * generator.normal(size=(networks, 1))
    return measured_auc(generator.normal(size=100) + shifts * labels + 0.0 * shifts, labels)


def test_seeds_that_rank_the_rows_alike_leave_the_error_of_one_network() -> None:
    measured = drawn(4, 0, spread=0.0)
    estimate = mean_over_seeds(measured)
    assert estimate.error == pytest.approx(float(measured.errors()[0]))
    assert estimate.degrees == pytest.approx(measured.degrees())
    assert (estimate.low, estimate.high) == pytest.approx(
        (mean_of_networks(measured).low, mean_of_networks(measured).high)
    )


def test_rows_without_influence_leave_students_interval_over_seeds() -> None:
    values = np.array([0.8, 0.85, 0.83])
    estimate = mean_over_seeds(Measured(values, np.zeros((3, 10)), 5), scale="plain")
    student = mean_on_these_rows(values)
    assert (estimate.low, estimate.high, estimate.degrees) == pytest.approx((student.low, student.high, 2))
    # t of 2 degrees is 4.302653; the standard deviation of the three is 0.0251661.
    assert student.high - student.value == pytest.approx(4.302653 * 0.0251661 / math.sqrt(3), rel=1e-5)


def test_a_covariance_below_zero_counts_as_none() -> None:
    values = np.array([0.8, 0.9])
    opposed = Measured(values, np.array([[0.1, 0.0], [-0.1, 0.0]]), 5)
    assert mean_over_seeds(opposed).error == pytest.approx(math.sqrt(values.var(ddof=1) / 2))


def test_the_interval_contains_more_than_either_part_alone() -> None:
    measured = drawn(5, 1, spread=0.4)
    both = mean_over_seeds(measured).error
    assert both > mean_on_these_rows(measured.values).error
    assert both > 0.9 * mean_of_networks(measured).error


def test_unequal_numbers_of_seeds_are_compared_unless_they_are_matched() -> None:
    one, other = drawn(5, 2, 0.2), drawn(3, 2, 0.2)
    assert difference_over_seeds(one, other).degrees > 2
    with pytest.raises(ValueError, match=r"\b5\b.*\b3\b"):
        difference_over_seeds(one, other, matched=True)


def test_one_seed_raises_since_it_shows_no_spread_of_training() -> None:
    one, several = drawn(1, 3, 0.2), drawn(3, 3, 0.2)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        mean_over_seeds(one)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        difference_over_seeds(several, one)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        mean_on_these_rows(one.values)


def test_other_rows_raise() -> None:
    with pytest.raises(ValueError, match=r"\b100\b.*\b10\b"):
        difference_over_seeds(drawn(3, 4, 0.2), Measured(np.array([0.5, 0.6]), np.zeros((2, 10)), 5))
