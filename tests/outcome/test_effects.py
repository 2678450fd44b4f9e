"""What a report says of each setting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from hpo.outcome.report.document import Listing, Text
from hpo.outcome.report.search.effects import (
    LEAST_PER_LEVEL,
    Level,
    _compare,
    _fisher,
    choice_effects,
    comparisons,
    number_effects,
)
from hpo.outcome.report.search.evidence import TrialEvidence
from hpo.outcome.report.search.sections import question
from hpo.outcome.report.search.setting_effects import reasons, space
from hpo.search.queries.importance import LEAST_TRIALS, MOST_TRIALS, importances
from hpo.study.files import builtin_study_file, default_spec, load_spec
from tests.mention import numbers_in, unmentioned
from tests.outcome import simulated
from tests.outcome.pages import blocks


def test_a_planted_difference_between_choices_is_found_with_its_size() -> None:
    effect = next(e for e in choice_effects(simulated.search()) if e.setting == "optimizer")
    assert [level.value for level in effect.levels] == ["adam", "sgd"]
    assert effect.low < simulated.ADAM_GAIN < effect.high
    assert effect.low > 0


def test_trials_in_which_a_setting_has_no_meaning_are_left_out() -> None:
    search = simulated.search()
    margins = search.points["margin"]
    aucm = [t for t, _ in search.comparable if t.config["loss"] != "cross_entropy" and not t.row.reference]
    assert 0 < len(margins) == len(aucm) < len(search.trials) - 2


def _on_folds(trial: TrialEvidence, aucs: tuple[float, ...]) -> TrialEvidence:
    curve = [dataclasses.replace(point, auc=float(np.mean(aucs or 0.8)), fold_aucs=aucs) for point in trial.curve]
    return dataclasses.replace(trial, curve=curve)


def test_trials_compare_over_the_folds_that_all_of_them_were_trained_on() -> None:
    search = simulated.search(trials=12)
    own = [0.7 + 0.01 * trial.row.number for trial in search.trials]
    # The later folds are easier.
    trials = [
        _on_folds(trial, (auc, 0.9, 0.9, 0.9, 0.9)[: 5 if trial.row.state == "complete" else 1])
        for trial, auc in zip(search.trials, own, strict=True)
    ]
    found = simulated.of(trials, search.spec)
    assert found.shared_folds == 1
    assert [auc for _, auc in found.comparable] == pytest.approx(own)
    failed = dataclasses.replace(trials[3], row=dataclasses.replace(trials[3].row, state="failed"))
    two = [_on_folds(trial, (auc, 0.9)) for trial, auc in zip(trials, own, strict=True)]
    compared = simulated.of([*two, _on_folds(failed, (0.5,))], search.spec)
    assert compared.shared_folds == 2
    assert [trial for trial, _ in compared.comparable] == two


def test_trials_without_the_aucs_of_their_folds_compare_as_they_are() -> None:
    search = simulated.search(trials=6)
    found = simulated.of([_on_folds(trial, ()) for trial in search.trials], search.spec)
    assert found.shared_folds == 0
    assert [auc for _, auc in found.comparable] == [0.8] * 6


@pytest.mark.slow
def test_that_trials_compare_over_fewer_folds_is_said() -> None:
    search = simulated.search(trials=LEAST_TRIALS + 2)
    count = search.spec.scoring.fold_count
    told = [
        next(block.text for block in blocks(space(found), Text))
        for found in (
            search,
            simulated.of([_on_folds(trial, (0.8,) * count) for trial in search.trials], search.spec),
        )
    ]
    assert [unmentioned(text, f"2 folds of {count}") == [] for text in told] == [True, False]


def test_baselines_are_compared_to_but_not_compared_among_the_trials() -> None:
    search = simulated.search(trials=12)
    assert sum(len(level.aucs) for level in choice_effects(search)[0].levels) == 10


def test_a_difference_needs_five_trials_on_both_sides() -> None:
    effect = _compare("loss", [Level("a", (0.8, 0.9, 0.8, 0.9, 0.8)), Level("b", (0.5, 0.5, 0.6, 0.5))], 0.95)
    assert (effect.difference, effect.low, effect.high) == (None, None, None)
    assert Level("c", (0.5,)).standard_error is None


def test_the_more_is_looked_at_the_longer_the_intervals() -> None:
    search = simulated.search(trials=40)
    looked_at = comparisons(search)
    effects, trends = choice_effects(search), number_effects(search)
    pairs = [len([level for level in effect.levels if len(level.aucs) >= LEAST_PER_LEVEL]) for effect in effects]
    assert looked_at == sum(count * (count - 1) // 2 for count in pairs) + len(trends) > 5
    effect = next(one for one in effects if one.difference is not None)
    several = [level for level in effect.levels if len(level.aucs) >= LEAST_PER_LEVEL]
    alone = stats.ttest_ind(several[0].aucs, several[-1].aucs, equal_var=False).confidence_interval(
        1 - 0.05 / looked_at
    )
    assert (effect.low, effect.high) == pytest.approx((alone.low, alone.high))


def test_values_with_too_few_trials_are_said_to_have_too_few() -> None:
    (listing,) = [block for block in reasons(simulated.search(trials=8)).blocks if isinstance(block, Listing)]
    assert any(unmentioned(item, "`loss`", "too few", LEAST_PER_LEVEL) == [] for item in listing.items)


def test_the_interval_of_a_difference_is_the_one_that_r_publishes() -> None:
    # R, t.test(extra ~ group, data = sleep): "95 percent confidence interval: -3.3654832 0.2054832".
    first = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
    second = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
    effect = _compare("loss", [Level("first", first), Level("second", second)], 0.95)
    assert (effect.low, effect.difference, effect.high) == pytest.approx((-0.2054832, 1.58, 3.3654832), abs=1e-7)


def test_levels_without_spread_are_no_certainty() -> None:
    effect = _compare("loss", [Level("a", (0.8,) * 5), Level("b", (0.7,) * 5)], 0.95)
    assert (effect.low, effect.high) == (-1.0, 1.0)


def test_the_interval_of_a_rank_correlation_covers_the_truth_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    rho, n = 0.5, 25
    truth = 6 / np.pi * np.arcsin(rho / 2)
    normals = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=(1000, n))
    intervals = [_fisher(stats.spearmanr(pairs).statistic, n, 0.95) for pairs in normals]
    assert np.mean([low < truth < high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


def test_a_planted_trend_is_reported_with_its_sign() -> None:
    spread = [simulated.trial(n, "complete", 0.5 + 0.01 * n, {**simulated.trial(0, "complete", 0.5).config,
              "learning_rate": 1e-4 * 1.5**n}) for n in range(10)]  # fmt: skip
    effect = number_effects(simulated.of(spread))[0]
    assert (effect.setting, effect.correlation, effect.count) == ("learning_rate", pytest.approx(1.0), 10)


def test_a_setting_has_no_trend_where_all_trials_are_equal() -> None:
    config = simulated.trial(0, "complete", 0.5).config
    rates = [config | {"learning_rate": 1e-4 * 1.5**number} for number in range(8)]
    equal = [simulated.trial(number, "complete", 0.5, rate) for number, rate in enumerate(rates)]
    assert number_effects(simulated.of(equal)) == []


@pytest.mark.slow
def test_importance_goes_to_the_setting_that_was_planted() -> None:
    search = simulated.search(trials=60)
    pairs = [(t.config, auc) for t, auc in search.comparable]
    found = importances(search.spec, [c for c, _ in pairs], [v for _, v in pairs], halves=3)
    assert found[0].setting == "optimizer"
    assert found[0].share > 5 * found[2].share
    assert sum(importance.share for importance in found) == pytest.approx(1.0)
    assert all(importance.standard_error >= 0 for importance in found)


@pytest.mark.slow
def test_of_many_trials_a_sample_is_taken_that_is_the_same_each_time() -> None:
    search = simulated.search(trials=60)
    pairs = [(t.config, auc) for t, auc in search.comparable] * (1 + MOST_TRIALS // 50)
    assert len(pairs) > MOST_TRIALS
    first, again = (importances(search.spec, [c for c, _ in pairs], [v for _, v in pairs], halves=2) for _ in range(2))
    assert first == again
    assert first[0].setting == "optimizer"


def test_few_trials_have_no_importances() -> None:
    search = simulated.search(trials=LEAST_TRIALS - 1)
    assert importances(search.spec, [t.config for t in search.trials], [0.1 * n for n in range(LEAST_TRIALS - 1)]) == []


def test_the_protocol_says_that_the_choice_of_start_points_is_not_corrected_for() -> None:
    usual = simulated.search(trials=12)
    found = []
    for change in ({}, {"earlier": 37}, {"start": ()}):
        evidence = dataclasses.replace(usual, spec=usual.spec.model_copy(update=change))
        protocol = next(block.items for block in question(evidence).blocks if isinstance(block, Listing))
        found.append([numbers_in(item) for item in protocol if "Start points" in item])
    assert found == [[[2]], [[2, 37]], []]


def test_the_published_value_is_to_beat_with_the_published_network_only() -> None:
    usual = simulated.search(trials=12)
    narrow = load_spec(builtin_study_file("breast"), ("fixed.network=resnet18_narrow",))
    for evidence, expected in (
        (usual, "to beat is .901"),
        (dataclasses.replace(usual, spec=narrow), "another network"),
    ):
        asked = next(block.text for block in question(evidence).blocks if isinstance(block, Text))
        assert unmentioned(asked, expected, ".901") == []


@pytest.mark.parametrize(
    ("override", "sizes"),
    [("budget.epochs=30", "from 64 to 28"), ("fixed.input_size=56", "from 64 to 56"), ("fixed.input_size=64", "")],
)
def test_the_question_says_to_which_size_images_are_shrunk(override: str, sizes: str) -> None:
    """By default to 28 pixels, whatever the data set has."""
    evidence = dataclasses.replace(simulated.search(trials=12), spec=default_spec("breast@64", (override,)))
    asked = next(block.text for block in question(evidence).blocks if isinstance(block, Text))
    assert ("shrunk" in asked, sizes in asked) == (bool(sizes), True)
