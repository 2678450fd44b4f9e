"""The winner of a search is compared as the best of all that were tried."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.selection import METHODS, Model, simulated
from hpo.statistics.auc import auc_and_influences
from hpo.statistics.intervals import Comparison
from hpo.statistics.network_metrics import NetworkMetrics
from hpo.statistics.obuchowski_rockette import difference_over_seeds_and_samples
from hpo.statistics.selection import (
    Selection,
    fold_influences,
    noise_share,
    repeated_difference,
    selected_comparison,
    selection_quantile,
    winner_optimism,
)


@pytest.mark.parametrize("tried", [2, 5, 12])
def test_without_noise_the_quantile_is_dunnetts(tried: int) -> None:
    correlated = np.full((tried, tried), 0.5) + 0.5 * np.eye(tried)
    found = selection_quantile(Selection(tried, 2, 1, 5))
    below = stats.multivariate_normal(cov=correlated).cdf(np.full(tried, found))
    assert below == pytest.approx(0.975, abs=0.004)
    few = selection_quantile(Selection(tried, 2, 1, 5), degrees=8.0)
    below = stats.multivariate_t(shape=correlated, df=8, seed=0).cdf(np.full(tried, few))
    assert below == pytest.approx(0.975, abs=0.005)


def test_one_configuration_against_one_baseline_has_students_quantile() -> None:
    for degrees, student in ((math.inf, 1.960), (8.0, 2.306)):
        assert selection_quantile(Selection(1, 1, 1, 3), degrees=degrees) == pytest.approx(student, abs=0.06)
        assert selection_quantile(Selection(1, 1, 1, 3), degrees=degrees) >= student - 0.001


def test_what_new_folds_average_out_is_no_longer_selected_for() -> None:
    selection = Selection(200, 8, 2, 5)
    quantiles = [selection_quantile(selection, share) for share in (0.0, 0.5, 0.95)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert quantiles[-1] == pytest.approx(selection_quantile(Selection(8, 8, 2, 5)), abs=0.1)
    assert winner_optimism(selection, 0.01, 0.95).most < winner_optimism(selection, 0.01).most


def test_the_optimism_of_the_best_of_equals_is_the_mean_of_a_maximum() -> None:
    found = winner_optimism(Selection(40, 8, 1, 5), error=0.01 * math.sqrt(2))
    # Mean and 97.5 % quantile of the highest of 40 normal values.
    assert found.expected == pytest.approx(0.02161, abs=1e-4)
    assert found.most == pytest.approx(0.01 * stats.norm.ppf(0.975 ** (1 / 40)), abs=5e-4)
    assert winner_optimism(Selection(1, 1, 1, 1), 0.01).expected == pytest.approx(0.0, abs=2e-4)


def test_an_interval_is_widened_about_the_same_difference_and_one_without_spread_stays() -> None:
    found = Comparison(0.03, 0.01, 0.01, 0.05, 0.004, 0.95, 20.0)
    wider = selected_comparison(found, Selection(40, 8, 2, 5))
    assert (wider.difference, wider.error, wider.p) == (0.03, 0.01, 0.004)
    assert wider.high - 0.03 == pytest.approx(0.03 - wider.low)
    assert wider.low < 0 < found.low
    unknown = Comparison(0.03, 0.0, -1.0, 1.0, math.nan, 0.95)
    assert selected_comparison(unknown, Selection(40, 8, 2, 5)) is unknown


def test_repeats_are_analysed_as_obuchowski_and_rockettes_matched_readers() -> None:
    random = np.random.default_rng(0)
    first, second = (
        NetworkMetrics(0.8 + 0.02 * random.random(5), random.normal(size=(5, 90)) * 0.003, 30) for _ in "ab"
    )
    expected = difference_over_seeds_and_samples(first, second, matched=True)
    folds = 1_000_000_000  # so many that other training samples would not matter
    found, noise = repeated_difference(first.values - second.values, first.influences - second.influences, folds)
    assert (found.difference, found.error) == pytest.approx((expected.difference, expected.error))
    assert noise == pytest.approx((first.values - second.values).var(ddof=1) / 5 / found.error**2)
    assert found.p < 0.05 or found.low < 0 < found.high


def test_two_that_never_differ_are_not_taken_for_certain() -> None:
    found, noise = repeated_difference(np.zeros(3), np.zeros((3, 10)), 5)
    assert (found.low, found.high, noise) == (-1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="1 differences"):
        repeated_difference(np.zeros(1), np.zeros((1, 10)), 5)


def test_influences_on_a_mean_over_folds_add_up_to_its_variance() -> None:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 30)
    scores = random.normal(size=60) + labels
    folds = [np.arange(start, 60, 3) for start in range(3)]
    found = fold_influences([(fold, labels[fold], scores[fold]) for fold in folds], 64)
    by_fold = [auc_and_influences(scores[fold], labels[fold])[1] for fold in folds]
    assert np.square(found).sum() == pytest.approx(sum(np.square(one).sum() for one in by_fold) / 9)
    assert not found[60:].any()
    one_label = fold_influences([(fold, labels[fold, None], scores[fold, None]) for fold in folds], 64)
    np.testing.assert_allclose(one_label, found)


def test_the_share_of_noise_is_the_interaction_of_configurations_and_repeats() -> None:
    random = np.random.default_rng(0)
    truth, repeat = random.normal(size=(9, 1, 1)), random.normal(size=(1, 200, 1))
    noise = 0.3 * random.normal(size=(9, 200, 1))
    tables = list(np.broadcast_to(truth + repeat + noise, (9, 200, 4)))
    error = 0.1
    assert noise_share(tables, error) == pytest.approx(2 * 0.3**2 / 200 / error**2, rel=0.1)
    assert noise_share(tables, 0.0) == 0.0
    assert noise_share([table[:1] for table in tables], error) == 0.0
    assert noise_share(tables, 1e-6) == 1.0


def test_selected_counts_must_be_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Selection(0, 1, 1, 1)


@pytest.mark.slow
def test_equal_configurations_win_by_selection_unless_it_is_accounted_for() -> None:
    labels = np.repeat([1, 0], [120, 60])
    equal = simulated(Model(labels, noise=0.0, search_folds=3, tried=30, repeats=5, folds=5), runs=40, seed=0)
    shares = {method: equal.share(method) for method in METHODS}
    assert shares["corrected t"] > 0.07 > 0.05 >= shares["samples, selection"]
    assert shares["corrected t, selection"] <= 0.05
    # The optimism is there, and what is said of it holds.
    assert np.mean(equal.optimism) > 0.01
    assert np.mean(equal.optimism) < np.mean(equal.most)
    assert equal.within > 0.8


@pytest.mark.slow
def test_a_winner_that_is_better_is_called_so() -> None:
    labels = np.repeat([1, 0], [120, 60])
    model = Model(labels, 0.3, 3, auc=0.75, tried=20, repeats=3, folds=3, better=2, gain=0.15)
    found = simulated(model, runs=12, seed=1)
    assert found.share("samples, selection") >= 0.75
