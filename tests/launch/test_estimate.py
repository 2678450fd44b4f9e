"""What `hpo launch` predicts before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.launch.estimate import (
    LONG_HOURS,
    Estimate,
    advice,
    confirmation_trials,
    least_trials,
    side_by_side,
    trained_share,
)
from hpo.study.files import builtin_study_file, default_spec, load_spec
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan


def test_without_pruning_every_epoch_is_trained() -> None:
    assert trained_share(load_spec(builtin_study_file("breast"), ("search.pruner=none",))) == 1.0


def test_with_halving_a_third_passes_each_rung() -> None:
    """Rungs at 5 and 15 of 45 epochs: 5 epochs for all, 10 for a third, 30 for a ninth, of 45."""
    halving = ("search.first_rung=5", "search.reduction=3", "budget.epochs=45")
    spec = load_spec(builtin_study_file("breast"), ("search.rungs=epochs", *halving))
    assert trained_share(spec) == pytest.approx((5 + 10 / 3 + 30 / 9) / 45)
    # 5 epochs of one fold, for a third 15 of two, for a ninth 45 of three, and for half of these 45 of all five.
    spec = load_spec(builtin_study_file("breast"), ("search.rungs=folds", *halving))
    assert trained_share(spec) == pytest.approx((5 + 25 / 3 + 105 / 9 + 90 / 18) / (5 * 45))


def test_hours_are_epochs_times_trials_over_those_in_parallel() -> None:
    estimate = Estimate(epoch_seconds=3600.0, trials=10, epochs=2, trained_share=0.5, parallel=5)
    assert estimate.trial_hours == 2.0
    assert estimate.hours == 2.0


def test_more_workers_than_trials_do_not_make_a_trial_faster() -> None:
    assert Estimate(epoch_seconds=3600.0, trials=2, epochs=3, trained_share=1.0, parallel=5).hours == 3.0
    assert Estimate(epoch_seconds=3600.0, trials=0, epochs=3, trained_share=1.0, parallel=5).hours == 0.0


def test_workers_take_some_time_to_start_all_at_once() -> None:
    estimate = Estimate(epoch_seconds=1.0, trials=10, epochs=2, trained_share=1.0, parallel=2, start_seconds=50.0)
    assert estimate.hours * 3600 == pytest.approx(60.0)
    assert replace(estimate, trials=0).hours == 0.0


def test_seconds_are_not_told_as_if_they_were_known() -> None:
    estimate = Estimate(epoch_seconds=0.5, trials=12, epochs=2, trained_share=1.0, parallel=2, start_seconds=4.0)
    assert estimate.whole == "under a minute"
    assert replace(estimate, trials=200).whole == "1.7 min"


@pytest.mark.parametrize(
    ("threads", "times"), [([1], 1.0), ([2], 5 / 3), ([4], 2.5), ([9], 5.0), ([1, 1], 1.0), ([5, 1], 3.0)]
)
def test_five_folds_side_by_side_are_as_many_times_as_fast_as_they_take_fewer_rounds(
    threads: list[int], times: float
) -> None:
    assert side_by_side(5, threads) == times


def test_a_3d_study_on_a_cpu_is_reported_what_would_be_faster() -> None:
    spec = load_spec(builtin_study_file("adrenal3d"))
    lines = advice(spec, on_gpu=False)
    assert "GPU" in lines[0]
    assert any(unmentioned(line, "--set fixed.input_size=14", 8) == [] for line in lines)
    larger = advice(load_spec(builtin_study_file("adrenal3d"), ("fixed.input_size=56",)), on_gpu=False)
    assert any(unmentioned(line, "--set fixed.input_size=14", 64) == [] for line in larger)
    smaller = advice(load_spec(builtin_study_file("adrenal3d"), ("fixed.input_size=20",)), on_gpu=False)
    assert not any("input_size" in line for line in smaller)
    assert any("--set budget.epochs=15" in line for line in lines)
    assert any("--set scoring.rows=holdout" in line for line in lines)
    assert any("--set fixed.network=resnet18_narrow" in line for line in lines)
    assert not any("network" in line for line in advice(spec, on_gpu=True))
    narrow = load_spec(builtin_study_file("adrenal3d"), ("fixed.network=resnet18_narrow",))
    assert not any("network" in line for line in advice(narrow, on_gpu=False))
    assert Estimate(300.0, 200, 60, 0.25, 1).hours > LONG_HOURS


def test_a_confirmation_is_not_told_to_change_what_was_laid_down_before_it() -> None:
    lines = advice(make_confirmation(make_plan()), on_gpu=False)
    assert "GPU" in lines[0]
    assert not any("--set" in line for line in lines)


def test_a_confirmation_takes_the_best_those_of_the_other_family_and_the_baselines_in_every_repeat() -> None:
    breast = builtin_study_file("breast")
    sizes = ("confirm.top=8", "confirm.per_family=2", "confirm.seeds=5")
    assert confirmation_trials(load_spec(breast, sizes)) == (8 + 2 + 2) * 5
    of_one = ('space.loss.choices=["aucm_v1", "aucm_v2"]', *sizes)
    assert confirmation_trials(load_spec(breast, of_one)) == (8 + 2) * 5


def test_what_is_small_already_is_not_advised_again() -> None:
    lines = advice(load_spec(builtin_study_file("digits")), on_gpu=True)
    assert not any("input_size" in line or "GPU" in line or "holdout" in line for line in lines)


def test_the_trials_that_fit_into_hours_are_rounded_down_and_take_pruning_and_workers_into_account() -> None:
    one = Estimate(epoch_seconds=60, trials=5, epochs=30, trained_share=0.5, parallel=1)
    assert one.trials_within(1) == 4
    assert one.trials_within(0.99) == 3
    assert replace(one, parallel=3).trials_within(1) == 12
    assert replace(one, trained_share=1.0).trials_within(1) == 2


def test_a_time_is_at_least_the_baselines_the_start_points_and_one_more_trial() -> None:
    spec = default_spec("digits")
    assert least_trials(spec) == 2 + len(spec.start) + 1
