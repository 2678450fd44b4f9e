"""Moderated variances: the prior is recovered, and each variance is shrunk towards it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.statistics.corrected_t_test import corrected_difference
from hpo.statistics.moderated_variance import MIN_CONFIGURATIONS, VariancePrior, fit_variance_prior


def values(spread: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """One table of (1, folds) AUCs for each spread, about .8."""
    random = np.random.default_rng(seed)
    return [0.8 + one * random.normal(size=(1, folds)) for one in spread]


def test_a_moderated_variance_is_the_mean_of_both_weighted_by_degrees_of_freedom() -> None:
    prior = VariancePrior(variance=4.0, degrees=6.0, max_degrees=100.0)
    assert prior.moderate(1.0, 2.0) == ((6 * 4 + 2 * 1) / 8, 8.0)
    assert VariancePrior(4.0, 6.0, max_degrees=5.0).moderate(1.0, 2.0)[1] == 5.0
    assert VariancePrior(4.0, math.inf, max_degrees=34.0).moderate(1.0, 2.0) == (4.0, 34.0)


def test_equal_variances_give_a_strong_prior_of_twice_that_variance() -> None:
    found = [fit_variance_prior(values(np.full(18, 0.03), 3, seed)) for seed in range(60)]
    assert all(one is not None for one in found)
    # A difference of two independent values has twice the variance of each.
    assert np.median([one.variance for one in found if one]) == pytest.approx(2 * 0.03**2, rel=0.1)
    assert np.median([one.degrees for one in found if one]) > 20
    assert {one.max_degrees for one in found if one} == {17 * 2}


def test_unequal_variances_give_a_weak_prior() -> None:
    spread = 0.03 * np.exp(np.random.default_rng(0).normal(0, 1.2, 40))
    found = fit_variance_prior(values(spread, 9, 1))
    assert found is not None
    assert found.degrees < 6


def test_the_fit_is_that_of_moments_of_log_variances() -> None:
    tables = values(np.linspace(0.01, 0.2, 8), 6, 3)
    flat = np.stack([table.ravel() for table in tables])
    variances = np.array([(flat[a] - flat[b]).var(ddof=1) for a in range(8) for b in range(a)])
    logs = np.log(variances) - stats.chi2(5).expect(np.log) + math.log(5)
    found = fit_variance_prior(tables)
    assert found is not None
    # trigamma(d / 2) is the variance of the logarithm of a chi-squared draw with d degrees of freedom.
    own = stats.chi2(5).expect(lambda x: np.log(x) ** 2) - stats.chi2(5).expect(np.log) ** 2
    prior = stats.chi2(found.degrees)
    assert prior.expect(lambda x: np.log(x) ** 2) - prior.expect(np.log) ** 2 == pytest.approx(
        logs.var(ddof=1) - own, rel=1e-4
    )


def test_variances_that_differ_by_chance_only_have_their_mean_as_limma_has_since_2017() -> None:
    # Differences of pairs of six values with equal spread in every fold: all variances are the same.
    table = [np.array([[0.8, 0.8, 0.8]]) + 0.01 * np.roll([2.0, -1.0, -1.0], shift) for shift in (0, 1, 2)]
    tables = [*table, *(one + 0.03 for one in table)]
    flat = np.stack([one.ravel() for one in tables])
    pairs = [(flat[a] - flat[b]).var(ddof=1) for a in range(6) for b in range(a)]
    found = fit_variance_prior(tables)
    assert found is not None
    assert math.isinf(found.degrees)
    assert found.variance == pytest.approx(np.mean([one for one in pairs if one > 1e-20]))


def test_few_configurations_or_none_that_scatter_moderate_nothing() -> None:
    assert fit_variance_prior(values(np.full(MIN_CONFIGURATIONS - 1, 0.03), 5, 0)) is None
    assert fit_variance_prior([np.full((1, 3), 0.8)] * 10) is None


def test_a_variance_that_is_tiny_by_chance_makes_no_short_interval() -> None:
    tables = values(np.full(12, 0.03), 3, 5)
    close = tables[0] + 0.02 + np.array([[0.0, 1e-4, -1e-4]])
    prior = fit_variance_prior([*tables, close])
    plain, moderated = (corrected_difference(close - tables[0], prior=one) for one in (None, prior))
    assert plain.is_distinguishable
    assert not moderated.is_distinguishable
    assert moderated.difference == plain.difference
