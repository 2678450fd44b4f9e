"""DeLong's intervals and test against values published for R's pROC, the definition, and over several labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from hpo.statistics.auc import OneClassError, auc, mean_auc_with_error
from hpo.statistics.delong import (
    delong_interval,
    delong_test,
    difference_of_fixed_networks,
    mean_of_fixed_networks,
)
from hpo.statistics.network_metrics import NetworkMetrics, network_accuracies, network_aucs
from hpo.statistics.obuchowski_rockette import difference_over_seeds_and_samples
from hpo.statistics.t_intervals import t_p_value
from tests.statistics.asah import LABELS, NDKA, S100B, WFNS


def drawn(networks: int, samples: int, seed: int, distinct: int | None = None) -> tuple[NDArray, NDArray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(samples) < 0.3).astype(np.uint8)
    labels[:4] = 0, 1, 0, 1
    scores = generator.normal(size=(networks, samples)) + generator.normal(size=samples) + 1.5 * labels
    return (scores if distinct is None else np.round(scores * distinct)), labels


def covariance_by_definition(scores: NDArray, labels: NDArray) -> NDArray:
    """S10 / m + S01 / n of DeLong et al. 1988, equations 4 to 6, from the matrix of all pairs of each network."""
    tables = [
        (row[labels == 1][:, None] > row[labels == 0]) + 0.5 * (row[labels == 1][:, None] == row[labels == 0])
        for row in scores
    ]
    by_positive, by_negative = [table.mean(1) for table in tables], [table.mean(0) for table in tables]
    return np.cov(by_positive) / by_positive[0].size + np.cov(by_negative) / by_negative[0].size


def test_aucs_of_asah_are_those_that_proc_publishes() -> None:
    # pROC, tests/testthat/helper-deLongPlacementsCpp-expected.R, theta.
    values = network_aucs(np.stack([NDKA, WFNS, S100B]), LABELS).values
    assert values == pytest.approx([0.611957994579946, 0.823678861788618, 0.731368563685637], abs=1e-15)


def test_covariances_of_asah_are_those_that_proc_publishes() -> None:
    # pROC, tests/testthat/test-cov.R, "cov with delong works".
    covariance = network_aucs(np.stack([WFNS, NDKA, S100B]), LABELS).covariance()
    published = {(0, 1): -0.000532967856762438, (1, 2): -0.000756164938056579, (2, 0): 0.00119615567376754}
    for pair, value in published.items():
        assert covariance[pair] == pytest.approx(value, rel=1e-12)


def test_the_plain_interval_of_asah_is_the_one_that_proc_publishes() -> None:
    # pROC, tests/testthat/test-ci.auc.R.
    estimate = delong_interval(NDKA, LABELS, scale="plain")
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx(
        (0.501244999271703, 0.611957994579946, 0.722670989888189), abs=1e-14
    )


@pytest.mark.parametrize(
    ("first", "second", "z", "p", "low", "high"),
    [
        (WFNS, S100B, 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        (WFNS, NDKA, 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        (NDKA, S100B, -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
    ids=["wfns-s100b", "wfns-ndka", "ndka-s100b"],
)
def test_paired_tests_of_asah_are_those_that_proc_publishes(
    first: NDArray, second: NDArray, z: float, p: float, low: float, high: float
) -> None:
    # pROC, tests/testthat/test-roc.test.R, "roc.test statistic and p are as expected with defaults".
    comparison = delong_test(first, second, LABELS)
    assert comparison.difference / comparison.error == pytest.approx(z, rel=1e-12)
    assert comparison.p == pytest.approx(p, rel=1e-11)
    assert (comparison.low, comparison.high) == pytest.approx((low, high), abs=1e-14)


@pytest.mark.parametrize("distinct", [None, 1])
def test_covariance_equals_delongs_definition_over_all_pairs(distinct: int | None) -> None:
    scores, labels = drawn(4, 120, 0, distinct)
    np.testing.assert_allclose(
        network_aucs(scores, labels).covariance(), covariance_by_definition(scores, labels), rtol=1e-11
    )


def test_one_network_has_the_auc_and_error_that_training_reports() -> None:
    scores, labels = drawn(1, 90, 1)
    estimate = delong_interval(scores[0], labels)
    assert (estimate.value, estimate.error) == pytest.approx(mean_auc_with_error(scores.T, labels[:, None]), rel=1e-12)


def test_several_labels_have_the_mean_auc_and_error_that_training_reports() -> None:
    generator = np.random.default_rng(2)
    labels = (generator.random((150, 5)) < 0.3).astype(np.uint8)
    labels[:, 4] = 0
    scores = generator.normal(size=labels.shape) + generator.normal(size=(150, 1)) + labels
    estimate = delong_interval(scores, labels)
    assert (estimate.value, estimate.error) == pytest.approx(mean_auc_with_error(scores, labels), rel=1e-12)
    assert estimate.value == pytest.approx(roc_auc_score(labels[:, :4], scores[:, :4]), abs=1e-12)


def test_fourteen_equal_labels_compare_two_networks_as_one_label_does() -> None:
    scores, labels = drawn(2, 80, 3)
    repeated = np.repeat(scores[..., None], 14, axis=2)
    wide = delong_test(repeated[0], repeated[1], np.repeat(labels[:, None], 14, axis=1))
    narrow = delong_test(scores[0], scores[1], labels)
    assert (wide.difference, wide.error, wide.p) == pytest.approx((narrow.difference, narrow.error, narrow.p))


def test_degrees_of_freedom_are_those_of_brunner_and_munzel() -> None:
    # Welch's with the spread of the placements in each class, as scipy.stats.brunnermunzel takes them for its t.
    scores, labels = drawn(1, 90, 10)
    tables = scores[0][labels == 1][:, None] > scores[0][labels == 0]
    parts = [tables.mean(1).var(ddof=1) / tables.shape[0], tables.mean(0).var(ddof=1) / tables.shape[1]]
    welch = sum(parts) ** 2 / sum(part**2 / (count - 1) for part, count in zip(parts, tables.shape, strict=True))
    assert network_aucs(scores, labels).degrees_of_freedom() == pytest.approx(welch)
    estimate = delong_interval(scores[0], labels)
    error = (0.5 - estimate.value) / estimate.error
    theirs = stats.brunnermunzel(scores[0][labels == 1], scores[0][labels == 0])
    assert error == pytest.approx(theirs.statistic)
    assert t_p_value(error, estimate.degrees) == pytest.approx(theirs.pvalue, rel=1e-6)


def test_degrees_without_strata_or_spread_are_infinite() -> None:
    assert NetworkMetrics(np.array([0.5]), np.ones((1, 4)), 4).degrees_of_freedom() == math.inf
    assert network_aucs(np.zeros((1, 4)), np.array([0, 1, 0, 1])).degrees_of_freedom() == math.inf


def test_the_mean_of_networks_has_the_variance_of_a_mean_of_correlated_aucs() -> None:
    scores, labels = drawn(5, 100, 4)
    metrics = network_aucs(scores, labels)
    assert mean_of_fixed_networks(metrics).error == pytest.approx(math.sqrt(metrics.covariance().mean()))


def test_a_difference_of_means_takes_other_numbers_of_networks_on_the_two_sides() -> None:
    scores, labels = drawn(5, 100, 5)
    comparison = difference_of_fixed_networks(network_aucs(scores[:2], labels), network_aucs(scores[2:], labels))
    weights = np.array([1 / 2, 1 / 2, -1 / 3, -1 / 3, -1 / 3])
    covariance = network_aucs(scores, labels).covariance()
    assert comparison.error == pytest.approx(math.sqrt(weights @ covariance @ weights))
    assert comparison.difference == pytest.approx(weights @ network_aucs(scores, labels).values)


def test_a_test_turned_round_has_the_same_p_and_the_mirrored_interval() -> None:
    scores, labels = drawn(2, 70, 6)
    there, back = delong_test(scores[0], scores[1], labels), delong_test(scores[1], scores[0], labels)
    assert (there.p, there.low, there.high) == pytest.approx((back.p, -back.high, -back.low))


def test_the_same_network_twice_differs_by_nothing_for_certain() -> None:
    scores, labels = drawn(1, 70, 7)
    comparison = delong_test(scores[0], 3 * scores[0] + 1, labels)
    assert (comparison.difference, comparison.low, comparison.high, comparison.p) == (0.0, 0.0, 0.0, 1.0)


def test_two_perfect_networks_are_not_taken_for_equal() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    comparison = delong_test(np.arange(5.0), np.array([1.0, 0.0, 2.0, 4.0, 3.0]), labels)
    assert (comparison.low, comparison.high, comparison.p) == (-1.0, 1.0, 1.0)


def test_a_perfect_network_against_a_constant_one_says_nothing_for_lack_of_spread() -> None:
    comparison = delong_test(np.arange(5.0), np.zeros(5), np.array([0, 0, 0, 1, 1]))
    assert comparison.difference == 0.5
    assert math.isnan(comparison.p)
    assert not comparison.is_distinguishable


def test_a_perfect_network_has_clopper_and_pearsons_interval_for_the_smaller_class() -> None:
    estimate = delong_interval(np.arange(10.0), np.repeat([0, 1], [7, 3]))
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(0.025 ** (1 / 3))


def test_a_perfect_mean_over_fourteen_labels_is_one_to_the_last_bit() -> None:
    labels = np.repeat(np.array([[0], [1]]), [20, 5], axis=0).repeat(14, axis=1)
    assert delong_interval(labels.astype(float), labels).value == 1.0


def test_hits_have_the_covariance_of_a_mean_over_samples() -> None:
    hits = (np.random.default_rng(8).random((3, 60)) < 0.8).astype(float)
    np.testing.assert_allclose(network_accuracies(hits).covariance(), np.cov(hits) / 60)


@pytest.mark.parametrize(
    ("scores", "labels", "fact"),
    [
        (np.zeros(4), np.array([0, 1, 0, 1]), r"\(4,\).*\(4,\)"),
        (np.zeros((2, 3)), np.array([0, 1, 0, 1]), r"\(2, 3\).*\(4,\)"),
        (np.zeros((0, 2)), np.array([0, 1]), "network"),
        (np.array([[0.0, np.nan]]), np.array([0, 1]), "nan"),
        (np.zeros((1, 2)), np.array([0, 2]), r"labels.*\b0\b.*\b1\b"),
    ],
)
def test_malformed_arrays_raise_and_say_what_is_wrong(scores: NDArray, labels: NDArray, fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        network_aucs(scores, labels)


def test_labels_that_are_all_equal_raise() -> None:
    with pytest.raises(OneClassError, match=r"\b1\b.*\b3\b"):
        network_aucs(np.zeros((1, 3)), np.zeros(3))


def test_a_paired_comparison_over_other_samples_raises() -> None:
    scores, labels = drawn(1, 70, 9)
    with pytest.raises(ValueError, match=r"\(70,\).*\(60,\)"):
        delong_test(scores[0], scores[0, :60], labels)
    with pytest.raises(ValueError, match=r"\b70\b.*\b60\b"):
        difference_of_fixed_networks(network_aucs(scores, labels), network_aucs(scores[:, :60], labels[:60]))


def test_a_single_positive_tells_no_two_networks_apart() -> None:
    labels = np.arange(40) == 0
    random = np.random.default_rng(0)
    # The positive lies above 35 and 10 of the 39 negatives.
    good, poor = (np.where(labels, rank + 0.5, random.permutation(np.r_[0, 1:40])) for rank in (35, 10))
    found = delong_test(good, poor, labels.astype(np.uint8))
    assert not found.is_distinguishable
    bounds = [np.sqrt(area * (1 - area)) for area in (auc(good, labels), auc(poor, labels))]
    assert found.error >= sum(bounds)
    alike = delong_test(good, 2 * good, labels.astype(np.uint8))
    assert (alike.difference, alike.low, alike.high, alike.p) == (0, 0, 0, 1)


def test_one_positive_of_one_of_several_labels_leaves_the_difference_open() -> None:
    random = np.random.default_rng(0)
    labels = np.zeros((60, 2), dtype=np.uint8)
    labels[:20, 0] = labels[30, 1] = 1
    first, second = (random.normal(size=(2, 60, 2)) + shift * labels for shift in (3.0, -3.0))
    one, other = network_aucs(first, labels), network_aucs(second, labels)
    assert (one.rests_on_one, one.mean_over_networks().rests_on_one) == (True, True)
    for found in (difference_of_fixed_networks(one, other), difference_over_seeds_and_samples(one, other)):
        assert (found.low, found.high, found.is_distinguishable) == (-1.0, 1.0, False)
    labels[31, 1] = 1
    both = network_aucs(first, labels), network_aucs(second, labels)
    assert difference_of_fixed_networks(*both).is_distinguishable
