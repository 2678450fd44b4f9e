"""The corrected resampled t-test against its formula with scipy's t, and in the limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.statistics.corrected_t_test import corrected_difference, corrected_mean


def test_a_comparison_is_nadeau_and_bengios_formula() -> None:
    differences = np.random.default_rng(0).normal(0.01, 0.03, size=(5, 10))
    comparison = corrected_difference(differences)
    # 10 folds: one ninth as many scored samples as fit samples; 50 differences.
    error = math.sqrt((1 / 50 + 1 / 9) * differences.var(ddof=1))
    assert comparison.error == pytest.approx(error)
    assert comparison.p == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / error, 49), rel=1e-9)
    low, high = stats.t.interval(0.95, 49, differences.mean(), error)
    assert (comparison.low, comparison.high) == pytest.approx((low, high))


def test_the_correction_of_five_repeats_of_five_folds_makes_the_error_two_point_seven_times_as_large() -> None:
    # sqrt((1/25 + 1/4) / (1/25)) = sqrt(7.25) = 2.6926, in place of the plain t-test over 25 folds.
    differences = np.random.default_rng(1).normal(size=(5, 5))
    plain = stats.ttest_1samp(differences.ravel(), 0.0)
    assert plain.statistic / (differences.mean() / corrected_difference(differences).error) == pytest.approx(
        math.sqrt(7.25)
    )


def test_more_repeats_cannot_take_away_what_the_folds_share() -> None:
    # The test-train ratio is one quarter: half of the spread over the folds is left, however many repeats.
    base = np.random.default_rng(2).normal(size=(1, 5))
    many = corrected_difference(np.repeat(base, 1000, axis=0))
    assert many.error == pytest.approx(math.sqrt(1 / 4) * base.std(ddof=0), rel=1e-3)


def test_a_mean_of_aucs_has_an_interval_within_zero_and_one() -> None:
    values = np.array([[0.99, 0.96, 0.999, 0.90, 0.98]])
    estimate = corrected_mean(values)
    assert estimate.value == pytest.approx(0.9658)
    assert 0 < estimate.low < 0.9658 < estimate.high < 1
    assert estimate.error == pytest.approx(math.sqrt((1 / 5 + 1 / 4) * values.var(ddof=1)))


def test_equal_differences_in_all_folds_are_not_taken_for_certain() -> None:
    assert not corrected_difference(np.full((2, 5), 0.1)).is_distinguishable
    assert corrected_difference(np.zeros((2, 5))).p == 1.0


def test_repeated_hold_outs_take_the_share_of_samples_that_they_are_scored_on() -> None:
    differences = np.random.default_rng(4).normal(size=(15, 1))
    comparison = corrected_difference(differences, test_train_ratio=0.2 / 0.8)
    assert comparison.error == pytest.approx(math.sqrt((1 / 15 + 0.25) * differences.var(ddof=1)))
    with pytest.raises(ValueError, match="test_train_ratio"):
        corrected_difference(differences)


def test_samples_that_never_change_leave_students_test() -> None:
    differences = np.random.default_rng(5).normal(size=(6, 1))
    comparison = corrected_difference(differences, test_train_ratio=0.0)
    assert comparison.p == pytest.approx(stats.ttest_1samp(differences[:, 0], 0.0).pvalue)


@pytest.mark.parametrize("shape", [(5,), (1, 1), (0, 5)])
def test_no_table_of_repeats_and_folds_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(repeats, folds\)"):
        corrected_difference(np.zeros(shape))


def test_a_missing_fold_raises() -> None:
    with pytest.raises(ValueError, match="nan"):
        corrected_mean(np.array([[0.9, np.nan, 0.8]]))
