"""What a report says of each setting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpo.outcome.report.search.effects import (
    Level,
    _compare,
    _fisher,
    choice_effects,
    number_effects,
    points_of,
    spearman,
)
from hpo.search.queries.importance import LEAST_TRIALS, importances
from tests.outcome import simulated


def test_a_planted_difference_between_choices_is_found_with_its_size() -> None:
    effect = next(e for e in choice_effects(simulated.search()) if e.setting == "optimizer")
    assert [level.value for level in effect.levels] == ["adam", "sgd"]
    assert effect.low < simulated.ADAM_GAIN < effect.high
    assert effect.low > 0


def test_trials_in_which_a_setting_has_no_meaning_are_left_out() -> None:
    search = simulated.search()
    margins = points_of(search, "margin")
    aucm = [t for t, _ in search.at_shared_epoch() if t.config["loss"] != "cross_entropy" and not t.row.reference]
    assert 0 < len(margins) == len(aucm) < len(search.trials) - 2


def test_references_are_compared_to_but_not_compared_among_the_trials() -> None:
    search = simulated.search(trials=12)
    assert sum(len(level.aucs) for level in choice_effects(search)[0].levels) == 10


def test_a_difference_needs_two_trials_on_both_sides() -> None:
    effect = _compare("loss", [Level("a", (0.8, 0.9)), Level("b", (0.5,))])
    assert (effect.difference, effect.low, effect.high) == (None, None, None)
    assert effect.levels[1].standard_error is None


def test_the_interval_of_a_difference_is_welchs() -> None:
    a, b = (0.81, 0.84, 0.9, 0.86), (0.7, 0.52, 0.66)
    effect = _compare("loss", [Level("b", b), Level("a", a)])
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_equals_scipys_with_ties(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 6, 30), random.integers(0, 6, 30)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_the_interval_of_a_rank_correlation_covers_the_truth_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    rho, n = 0.5, 25
    truth = 6 / np.pi * np.arcsin(rho / 2)
    normals = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=(1000, n))
    intervals = [_fisher(spearman(pairs[:, 0], pairs[:, 1]), n) for pairs in normals]
    assert np.mean([low < truth < high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


def test_a_planted_trend_is_told_with_its_sign() -> None:
    spread = [simulated.trial(n, "complete", 0.5 + 0.01 * n, {**simulated.trial(0, "complete", 0.5).config,
              "learning_rate": 1e-4 * 1.5**n}) for n in range(10)]  # fmt: skip
    effect = number_effects(simulated.of(spread))[0]
    assert (effect.setting, effect.correlation, effect.count) == ("learning_rate", pytest.approx(1.0), 10)


def test_importance_goes_to_the_setting_that_was_planted() -> None:
    search = simulated.search(trials=60)
    pairs = [(t.config, auc) for t, auc in search.at_shared_epoch()]
    found = importances(search.spec, [c for c, _ in pairs], [v for _, v in pairs], halves=3)
    assert found[0].setting == "optimizer"
    assert found[0].share > 5 * found[2].share
    assert sum(importance.share for importance in found) == pytest.approx(1.0)
    assert all(importance.standard_error >= 0 for importance in found)


def test_few_trials_have_no_importances() -> None:
    search = simulated.search(trials=LEAST_TRIALS - 1)
    assert importances(search.spec, [t.config for t in search.trials], [0.1 * n for n in range(LEAST_TRIALS - 1)]) == []
