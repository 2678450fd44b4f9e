"""Intervals hold the truth as often as they say, at 22 positives and 76 negatives: cases of `benchmarks/coverage.py`.

Seeds are fixed; with others, a coverage of 95 % from S simulations has a standard deviation of sqrt(.95 * .05 / S):
1.5 % for 200, 0.7 % for 1000.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import (
    LOWER_BY,
    Case,
    covered,
    cross_validation,
    many_configurations,
    one_network,
    scores,
    several_seeds,
    shift,
    two_configurations,
    two_networks,
)
from benchmarks.deciding import deciding
from hpo.statistics.auc import auc

# Measured to cover 90 to 94 %: of one AUC, intervals that are not skewed as it is. No report shows them, nor the
# expanded bootstrap of one AUC, which falls short, too.
KNOWN_TO_FALL_SHORT = {"DeLong, plain", "seeds and samples, plain"}


def coverages(case: Case, truth: float, simulations: int) -> dict[str, float]:
    counts = covered(case, truth, simulations, seed=1)
    return {count.method: count.coverage for count in counts if not count.method.startswith("x ")}


@pytest.mark.parametrize("auc_", [0.8, 0.9])
def test_intervals_over_seeds_and_samples_cover_as_they_say(auc_: float) -> None:
    assert 0.92 <= coverages(several_seeds(auc_, 3), auc_, 200)["seeds and samples, logit"] <= 0.98
    assert 0.92 <= coverages(two_configurations(auc_, 3), LOWER_BY, 200)["seeds and samples"] <= 0.98


def test_intervals_of_one_network_cover_as_they_say() -> None:
    found = coverages(one_network(0.9, is_expanded=False), 0.9, 150)
    assert all(0.915 <= share <= 0.985 for name, share in found.items() if name not in KNOWN_TO_FALL_SHORT), found


@pytest.mark.parametrize("networks", [2, 5])
@pytest.mark.parametrize("auc_", [0.9, 0.98])
def test_what_decides_holds_the_truth_at_least_as_often_as_it_says(auc_: float, networks: int) -> None:
    labels = np.repeat([1, 0], [43, 120])
    for name, truth, case in deciding(auc_, networks, labels):
        (count,) = covered(case, truth, 120, seed=2)
        assert count.coverage >= 0.89, name
        assert "longer of two" in count.method


def test_networks_of_one_configuration_have_the_mean_auc_that_the_simulation_calls_true() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], [22, 76])
    areas = [auc(scores(generator, generator.normal(size=98), 0.9, 1, 0.5)[0], labels) for _ in range(2000)]
    assert np.mean(areas) == pytest.approx(0.9, abs=4 * np.std(areas) / np.sqrt(2000))
    assert shift(0.5) == 0.0


def test_a_plain_t_test_over_folds_would_cover_far_less() -> None:
    counts = {count.method: count.coverage for count in covered(cross_validation(0.9), 0.0, 80, seed=1)}
    assert counts["x plain t over folds"] < 0.75 < 0.88 < counts["corrected resampled t"]


@pytest.mark.slow
@pytest.mark.parametrize("auc_", [0.8, 0.9])
@pytest.mark.parametrize("name", ["one network", "two networks", "3 seeds", "5 seeds", "2 x 3 seeds", "2 x 5 seeds"])
def test_coverage_is_within_two_points(name: str, auc_: float) -> None:
    case, truth = {
        "one network": (one_network(auc_, is_expanded=False), auc_),
        "two networks": (two_networks(auc_), LOWER_BY),
        "3 seeds": (several_seeds(auc_, 3), auc_),
        "5 seeds": (several_seeds(auc_, 5), auc_),
        "2 x 3 seeds": (two_configurations(auc_, 3), LOWER_BY),
        "2 x 5 seeds": (two_configurations(auc_, 5), LOWER_BY),
    }[name]
    found = {
        method: share for method, share in coverages(case, truth, 1000).items() if method not in KNOWN_TO_FALL_SHORT
    }
    assert found
    # The longer of two intervals is longer than it need be.
    assert all(0.93 <= share <= (0.99 if name.startswith("*") else 0.97) for name, share in found.items()), found


@pytest.mark.slow
def test_moderated_intervals_cover_as_they_say_and_are_never_absurdly_short() -> None:
    widths: dict[str, list[float]] = {}
    random = np.random.default_rng(1)
    case = many_configurations(0.85, 1, 3)
    held = 0
    for _ in range(400):
        for method, answer in case(random).items():
            widths.setdefault(method, []).append(answer.high - answer.low)
            held += "moderated" in method and answer.low <= 0 <= answer.high
    assert held / 400 >= 0.93
    plain, moderated = (np.array(found) for found in widths.values())
    assert np.median(moderated) < np.median(plain)
    assert np.quantile(moderated, 0.02) > 2 * np.quantile(plain, 0.02)


@pytest.mark.slow
@pytest.mark.parametrize("auc_", [0.8, 0.9])
def test_coverage_over_folds_is_within_three_points(auc_: float) -> None:
    # The correction is an approximation: how much folds share depends on what is trained.
    assert 0.92 <= coverages(cross_validation(auc_), 0.0, 1000)["corrected resampled t"] <= 0.98
