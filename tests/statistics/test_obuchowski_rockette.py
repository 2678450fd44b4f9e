"""Means over seeds and samples against the published Obuchowski-Rockette analysis of Van Dyke's data, and in limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.statistics.bootstrap import bootstrap_interval
from hpo.statistics.delong import delong_interval, difference_of_fixed_networks, mean_of_fixed_networks
from hpo.statistics.network_metrics import NetworkMetrics, network_aucs
from hpo.statistics.obuchowski_rockette import (
    difference_over_seeds_and_samples,
    mean_over_seeds_and_samples,
    mean_over_seeds_fixed_samples,
)

# Van Dyke et al. 1993: 5 readers, 114 cases, 2 treatments. Reader AUCs, covariances and the results below are printed
# in Chakraborty's RJafroc book, chapter "Obuchowski Rockette Applications", some to more digits in the output of OR-DBM
# MRMC 2.51 (Iowa) that RJafroc keeps beside its tests.
FIRST = np.array([0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066])
SECOND = np.array([0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169])
VARIANCE, SAME_READER, SAME_TREATMENT, NEITHER = 8.0228827e-4, 3.4661371e-4, 3.4407483e-4, 2.3902837e-4


def with_covariance(values: NDArray, covariance: NDArray) -> NetworkMetrics:
    """Metrics whose influences multiply to this covariance."""
    return NetworkMetrics(values, np.linalg.cholesky(covariance), binomial_n=40)


def compound(variance: float, covariance: float, readers: int = 5) -> NDArray:
    return np.full((readers, readers), covariance) + np.eye(readers) * (variance - covariance)


@pytest.fixture
def van_dyke() -> tuple[NetworkMetrics, NetworkMetrics]:
    own, across = compound(VARIANCE, SAME_TREATMENT), compound(SAME_READER, NEITHER)
    influences = np.linalg.cholesky(np.block([[own, across], [across, own]]))
    return NetworkMetrics(FIRST, influences[:5], 40), NetworkMetrics(SECOND, influences[5:], 40)


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
    estimate = mean_over_seeds_and_samples(with_covariance(values, compound(variance, covariance)), scale="plain")
    assert estimate.error == pytest.approx(error, abs=6e-6)
    assert estimate.degrees == pytest.approx(degrees, abs=0.01)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)


def test_one_treatment_over_cases_only_is_as_published() -> None:
    metrics = with_covariance(FIRST, compound(0.00101410, 0.00048396))
    estimate = mean_of_fixed_networks(metrics, scale="plain")
    assert estimate.error == pytest.approx(0.02428971, abs=2e-7)
    assert (estimate.low, estimate.high) == pytest.approx((0.84943008, 0.94464399), abs=3e-7)


def test_the_matched_difference_over_readers_and_cases_is_as_published(
    van_dyke: tuple[NetworkMetrics, NetworkMetrics],
) -> None:
    comparison = difference_over_seeds_and_samples(*van_dyke, matched=True)
    assert comparison.difference == pytest.approx(-0.043800322, abs=1e-8)
    assert comparison.degrees == pytest.approx(15.26, abs=0.005)
    assert comparison.p == pytest.approx(0.05167, abs=6e-6)
    assert (comparison.low, comparison.high) == pytest.approx((-0.0879595, 0.0003589), abs=6e-8)


def test_the_difference_over_cases_only_is_as_published(van_dyke: tuple[NetworkMetrics, NetworkMetrics]) -> None:
    comparison = difference_of_fixed_networks(*van_dyke)
    assert comparison.error == pytest.approx(0.01872, abs=6e-6)
    assert comparison.p == pytest.approx(0.01928, abs=6e-6)
    assert (comparison.low, comparison.high) == pytest.approx((-0.08049, -0.007115), abs=6e-6)


def test_nested_seeds_have_the_variances_of_both_spreads_and_the_samples(
    van_dyke: tuple[NetworkMetrics, NetworkMetrics],
) -> None:
    # Of the 25 pairs of a seed here and one there, 5 are of one reader; nested seeds know no such pairs.
    one, other = FIRST.var(ddof=1) / 5, SECOND.var(ddof=1) / 5
    samples = 2 * (SAME_TREATMENT - (20 * NEITHER + 5 * SAME_READER) / 25)
    comparison = difference_over_seeds_and_samples(*van_dyke)
    assert comparison.error == pytest.approx(math.sqrt(one + other + samples), rel=1e-9)
    assert comparison.degrees == pytest.approx((one + other + samples) ** 2 / (one**2 / 4 + other**2 / 4), rel=1e-9)


def drawn(networks: int, seed: int, spread: float) -> NetworkMetrics:
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [30, 70])
    shifts = 1.5 + spread * generator.normal(size=(networks, 1))
    return network_aucs(generator.normal(size=100) + shifts * labels + 0.0 * shifts, labels)


def test_seeds_that_rank_the_samples_alike_leave_the_error_of_one_network() -> None:
    metrics = drawn(4, 0, spread=0.0)
    estimate = mean_over_seeds_and_samples(metrics)
    assert estimate.error == pytest.approx(float(metrics.standard_errors()[0]))
    assert estimate.degrees == pytest.approx(metrics.degrees_of_freedom())
    assert (estimate.low, estimate.high) == pytest.approx(
        (mean_of_fixed_networks(metrics).low, mean_of_fixed_networks(metrics).high)
    )


def test_samples_without_influence_leave_students_interval_over_seeds() -> None:
    values = np.array([0.8, 0.85, 0.83])
    estimate = mean_over_seeds_and_samples(NetworkMetrics(values, np.zeros((3, 10)), 5), scale="plain")
    student = mean_over_seeds_fixed_samples(values)
    assert (estimate.low, estimate.high, estimate.degrees) == pytest.approx((student.low, student.high, 2))
    # t of 2 degrees is 4.302653; the standard deviation of the three is 0.0251661.
    assert student.high - student.value == pytest.approx(4.302653 * 0.0251661 / math.sqrt(3), rel=1e-5)


def test_a_covariance_below_zero_counts_as_none() -> None:
    values = np.array([0.8, 0.9])
    opposed = NetworkMetrics(values, np.array([[0.1, 0.0], [-0.1, 0.0]]), 5)
    assert mean_over_seeds_and_samples(opposed).error == pytest.approx(math.sqrt(values.var(ddof=1) / 2))


def test_the_interval_contains_more_than_either_part_alone() -> None:
    metrics = drawn(5, 1, spread=0.4)
    both = mean_over_seeds_and_samples(metrics).error
    assert both > mean_over_seeds_fixed_samples(metrics.values).error
    assert both > 0.9 * mean_of_fixed_networks(metrics).error


def test_unequal_numbers_of_seeds_are_compared_unless_they_are_matched() -> None:
    one, other = drawn(5, 2, 0.2), drawn(3, 2, 0.2)
    assert difference_over_seeds_and_samples(one, other).degrees > 2
    with pytest.raises(ValueError, match=r"\b5\b.*\b3\b"):
        difference_over_seeds_and_samples(one, other, matched=True)


def test_one_seed_raises_since_it_has_no_training_variance() -> None:
    one, several = drawn(1, 3, 0.2), drawn(3, 3, 0.2)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        mean_over_seeds_and_samples(one)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        difference_over_seeds_and_samples(several, one)
    with pytest.raises(ValueError, match=r"\b1 seed"):
        mean_over_seeds_fixed_samples(one.values)


def test_other_samples_raise() -> None:
    with pytest.raises(ValueError, match=r"\b100\b.*\b10\b"):
        difference_over_seeds_and_samples(drawn(3, 4, 0.2), NetworkMetrics(np.array([0.5, 0.6]), np.zeros((2, 10)), 5))


def test_networks_that_collapsed_are_no_certainty() -> None:
    labels = np.repeat([1, 0], [22, 76])
    constant = np.zeros((3, 98))
    metrics = network_aucs(constant, labels)
    intervals = [
        mean_over_seeds_and_samples(metrics),
        mean_of_fixed_networks(metrics),
        delong_interval(constant[0], labels),
        bootstrap_interval(constant, labels, 100),
    ]
    assert {estimate.value for estimate in intervals} == {0.5}
    # Under no information an AUC of 22 and 76 samples has a standard error of .070.
    assert all(estimate.low < 0.5 - 1.96 * 0.070 < 0.5 + 1.96 * 0.070 < estimate.high for estimate in intervals)


def test_a_difference_has_no_more_degrees_of_freedom_than_its_samples_give() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([1, 0], [5, 6])
    base = random.normal(size=11) + labels
    # Seeds that rank alike: what is uncertain is the samples alone.
    one, other = (network_aucs(np.tile(base + 0.5 * random.normal(size=11), (4, 1)), labels) for _ in range(2))
    for matched in (False, True):
        found = difference_over_seeds_and_samples(one, other, matched=matched)
        assert found.degrees < 10
