"""What Optuna 5.0's samplers and importances do that hpo works around."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import create_trial

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def _study(*extra: optuna.trial.FrozenTrial) -> optuna.Study:
    study = optuna.create_study()
    study.add_trials(extra)
    for step in range(12):
        x, y = (step * 5 % 12) / 12, (step * 7 % 12) / 12
        study.add_trial(create_trial(value=x - y / 2, params={"x": x, "y": y}, distributions=SPACE))
    return study


def _relative(study: optuna.Study, sampler: TPESampler) -> set[str]:
    return set(sampler.infer_relative_search_space(study, study.ask()._cached_frozen_trial))


def test_one_trial_without_parameters_empties_the_intersection_space() -> None:
    study = _study(create_trial(value=0.5))
    assert _relative(study, TPESampler(multivariate=True)) == set()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_groups_model_every_setting_all_the_same() -> None:
    study = _study(create_trial(value=0.5))
    assert _relative(study, TPESampler(multivariate=True, group=True)) == {"x", "y"}


def test_one_trial_without_parameters_empties_the_importances_by_fanova() -> None:
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    assert set(optuna.importance.get_param_importances(_study(), evaluator=fanova)) == {"x", "y"}
    extra = create_trial(value=0.5)
    assert optuna.importance.get_param_importances(_study(extra), evaluator=fanova) == {}


def test_workers_with_one_sampler_seed_suggest_the_same_point() -> None:
    drawn = []
    for _ in range(2):
        study = optuna.create_study(sampler=TPESampler(seed=3))
        drawn.append(study.ask(SPACE).params)
    assert drawn[0] == drawn[1]


def test_a_study_keeps_its_list_of_finished_trials_until_its_own_next_ask() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="a")
    study._get_trials(use_cache=True)
    optuna.load_study(study_name="a", storage=storage).add_trial(create_trial(value=0.5))
    assert len(study._get_trials(use_cache=True)) == 0
    assert len(study.trials) == 1
