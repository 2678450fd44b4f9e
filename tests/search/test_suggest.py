"""From the space to configurations: conditions, seeds, references, and that TPE does model."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
import pytest

from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.reporting import finish
from hpo.search.queue.workers import this_process
from hpo.search.strategy.sampler import _history_of, distribution, make_sampler, nearest, planned_template, suggest
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.study.baselines import baselines
from hpo.study.choices import SAMPLERS
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.planned import PlannedTrial
from hpo.study.space import Choices, FloatRange, IntRange
from hpo.study.spec import Search
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import claimed, recorded
from tests.plugins import kept_registries


def _ran(database: Database, trials: int, **options: Any) -> Study:
    study = create_or_open(database, options.pop("name", "study"), make_spec(trials, **options))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1))
    return study


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_setting_is_suggested_only_where_it_means_something(database: Database, sampler: str) -> None:
    rows = read_trials(_ran(database, 14, sampler=sampler))
    assert {row.params["loss"] for row in rows} == {"aucm_v1", "cross_entropy"}
    for row in rows:
        assert ("margin" in row.params) == (row.params["loss"] == "aucm_v1")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_worker_suggests_the_same_trials_again_from_the_same_seed(database: Database, sampler: str) -> None:
    first, second = (_ran(database, 12, sampler=sampler, seed=7, name=name) for name in ("a", "b"))
    other = _ran(database, 12, sampler=sampler, seed=8, name="c")
    params = [[row.params for row in read_trials(study)] for study in (first, second, other)]
    assert params[0] == params[1]
    assert params[0] != params[2]


def test_a_registered_sampler_proposes_the_trials_with_a_seed_for_each(database: Database) -> None:
    seeds: list[int] = []

    def halton(search: Search, seed: int) -> optuna.samplers.BaseSampler:
        seeds.append(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.QMCSampler(qmc_type="halton", seed=search.seed, warn_independent_sampling=False)

    with kept_registries():
        SAMPLERS.register("halton", halton)
        rows = read_trials(_ran(database, 5, sampler="halton"))
    assert len({row.params["learning_rate"] for row in rows}) == 5
    assert len(set(seeds)) == 5


def test_no_two_trials_are_the_same(database: Database) -> None:
    rows = read_trials(_ran(database, 14, references=True))[2:]
    assert len({str(row.params) for row in rows}) == len(rows)


def test_after_the_startup_trials_tpe_models_every_searched_setting(database: Database) -> None:
    study = _ran(database, 12, references=True)
    held = claimed(create_or_open(database, "study", make_spec(13, references=True)))
    history = _history_of(study)
    database.read(history.refresh)
    view = optuna.load_study(study_name="study", storage=history)
    sampler = make_sampler(study.spec, held.number)
    trial = history.get_trial(held.number)
    space = sampler.infer_relative_search_space(view, trial)
    assert set(space) == set(study.spec.space)
    assert set(sampler.sample_relative(view, trial, space)) == set(study.spec.space)


def test_importances_stay_computable_with_baselines_in_the_study(database: Database) -> None:
    _ran(database, 14, references=True)
    shown = optuna.load_study(study_name="study", storage=database.optuna)
    assert {"learning_rate", "weight_decay", "loss", "batch_size"} <= set(
        optuna.importance.get_param_importances(shown)
    )


@pytest.mark.slow
def test_tpe_comes_nearer_to_the_best_learning_rate_than_random_draws(database: Database) -> None:
    def distance(sampler: str) -> float:
        rows = read_trials(_ran(database, 40, sampler=sampler, name=sampler))
        return sum(0.8 - row.auc for row in rows[20:]) / 20

    assert distance("tpe") < 0.5 * distance("random")


def test_baselines_are_trials_0_and_1_marked_for_the_dashboard_with_their_exact_configuration(
    database: Database,
) -> None:
    study = _ran(database, 3, references=True)
    shown = optuna.load_study(study_name="study", storage=database.optuna).trials
    assert [trial.user_attrs.get("reference") for trial in shown] == [*baselines(study.spec), None]
    assert shown[0].params["weight_decay"] == 1e-6
    assert shown[0].user_attrs["outside the space"]["weight_decay"] == 0.0
    config = baselines(study.spec)["medmnist-cross-entropy"].model_dump()
    assert recorded(study, 0).config == config
    assert "margin" not in shown[0].params


def test_a_choice_that_a_baseline_needs_and_the_space_lacks_is_left_out() -> None:
    spec = load_spec(builtin_study_file("breast"), ('space.resplit.choices=["none", "holdout"]',))
    name, config = next(iter(baselines(spec).items()))
    template = planned_template(spec, PlannedTrial(name, config, is_baseline=True))
    assert "resplit" not in template.params
    assert template.user_attrs["outside the space"]["resplit"] == "official"


def test_values_that_a_worker_drew_and_did_not_store_before_it_died_are_drawn_again(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(1))
    held = claimed(study)
    first = suggest(study, held.number)
    assert suggest(study, held.number) == first


def test_a_trial_that_is_taken_up_trains_the_recorded_configuration_with_the_recorded_seed(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(1))

    def die(_: int) -> None:
        raise MemoryError

    dying, next_one = FakeTrainer(on_epoch=die), FakeTrainer()
    with pytest.raises(MemoryError):
        run_worker(study, identity=this_process("dying"), train=dying)
    run_worker(study, identity=this_process("next"), train=next_one)
    assert dying.trained == next_one.trained


def test_a_failed_trial_is_no_observation_of_the_sampler(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(1))
    finish(claimed(study), "failed", None, reason="diverged")
    trial = optuna.load_study(study_name="study", storage=database.optuna).trials[0]
    assert (trial.state.name, trial.value, trial.user_attrs["reason"]) == ("FAIL", None, "diverged")


def test_ranges_become_distributions_by_type() -> None:
    assert distribution(FloatRange(low=0.1, high=1.0, log=True)) == optuna.distributions.FloatDistribution(
        0.1, 1.0, log=True
    )
    assert distribution(IntRange(low=4, high=8)) == optuna.distributions.IntDistribution(4, 8)
    assert distribution(Choices(choices=(True, False))) == optuna.distributions.CategoricalDistribution((True, False))


def test_the_nearest_value_of_a_range_is_its_bound() -> None:
    assert nearest(FloatRange(low=0.1, high=1.0), 0.0) == 0.1
    assert nearest(IntRange(low=4, high=8), 6) == 6
    assert nearest(Choices(choices=("a", "b")), "c") is None
