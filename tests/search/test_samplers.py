"""What samplers see of a study's trials, and the samplers that a study file can name."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import StudyFileError
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import this_process
from hpo.search.strategy.common_rung import ENOUGH, RUNG_AUCS, at_common_rung, common_rung
from hpo.search.strategy.sampler import _history_of, make_sampler
from hpo.search.strategy.samplers import QuasiRandom, at_quantile
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.study.files import check_spec
from hpo.testing.trainer import FakeTrainer, make_spec

SAMPLERS = ["tpe", "random", "gp", "cmaes", "qmc", "optuna:TPESampler", "optuna:RandomSampler"]


def _trial(number: int, state: TrialState, *aucs: float) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=aucs[-1] if state.is_finished() and aucs else None,
        datetime_start=None,
        datetime_complete=None,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs={},
        system_attrs={RUNG_AUCS: list(aucs)},
        intermediate_values={},
    )


def test_the_common_rung_is_the_highest_that_enough_trials_have_reached() -> None:
    assert common_rung([]) == 0
    assert common_rung([1] * 50 + [2] * (ENOUGH - 1)) == 0
    assert common_rung([1] * 50 + [2] * ENOUGH) == 1
    assert common_rung([3] * ENOUGH) == 2


def test_a_pruned_trial_that_was_better_at_the_common_rung_is_better() -> None:
    """Optuna would take the complete trial, the worst of all at the first rung, for the best."""
    complete = _trial(0, TrialState.COMPLETE, 0.5, 0.9)
    pruned = [_trial(number, TrialState.PRUNED, 0.6 + number / 100) for number in range(1, ENOUGH)]
    early = _trial(ENOUGH, TrialState.RUNNING, 0.95)
    waiting, failed = _trial(ENOUGH + 1, TrialState.RUNNING), _trial(ENOUGH + 2, TrialState.FAIL, 0.99)
    view = at_common_rung([complete, *pruned, early, waiting, failed])
    ranked = sorted((trial for trial in view if trial.state == TrialState.COMPLETE), key=lambda trial: -trial.values[0])
    assert [trial.number for trial in ranked] == [early.number, *range(ENOUGH - 1, 0, -1), 0]
    assert [view[trial.number].state.name for trial in (waiting, failed)] == ["RUNNING", "FAIL"]
    assert [trial.number for trial in view] == list(range(ENOUGH + 3))


def test_what_ended_before_the_common_rung_comes_after_all_that_reached_it() -> None:
    reached = [_trial(number, TrialState.COMPLETE, 0.5, 0.6) for number in range(ENOUGH)]
    ended = _trial(ENOUGH, TrialState.PRUNED, 0.9)
    view = at_common_rung([*reached, ended])
    assert {trial.value for trial in view[:ENOUGH]} == {0.6}
    assert view[ENOUGH].state == TrialState.PRUNED
    assert view[ENOUGH].intermediate_values == {1: 0.9}


def _searched(database: Database, sampler: str, trials: int = 18, **options: Any) -> Study:
    staged = {"pruner": "asha", "rungs": "folds", "first_rung": 3}
    spec = make_spec(trials, epochs=9, sampler=sampler, **{**staged, **options})
    study = create_or_open(database, sampler, spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(9))
    return study


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_fills_a_study_with_values_of_its_space(database: Database, sampler: str) -> None:
    rows = read_trials(_searched(database, sampler))
    assert len(rows) == 18
    assert len({row.params["learning_rate"] for row in rows}) == 18
    for row in rows:
        assert 1e-4 <= float(row.params["learning_rate"]) <= 0.3
        assert row.params["batch_size"] in (32, 64, 128)
        assert ("margin" in row.params) == (row.params["loss"] == "aucm_v1")


@pytest.mark.slow
def test_tpe_compares_trials_by_their_first_fold_until_enough_have_more(database: Database) -> None:
    study = _searched(database, "tpe", trials=16, references=True)
    history = _history_of(study)
    database.read(history.refresh)
    trials = history.get_all_trials(0)
    # The baselines, trials 0 and 1, do not teach it.
    assert [trial.state.name for trial in trials[:2]] == ["FAIL", "FAIL"]
    view = at_common_rung(trials)
    assert [trial.state.name for trial in view[2:]] == ["COMPLETE"] * 14
    for trial, row in zip(view[2:], read_trials(study)[2:], strict=True):
        if row.state == "pruned" and row.epochs == 3:
            assert trial.value == pytest.approx(row.auc)


def test_quasi_random_draws_cover_a_setting_evenly_whichever_process_takes_them() -> None:
    sampler = QuasiRandom(seed=3)
    study, entry = optuna.create_study(), FloatDistribution(0.1, 1.0)
    drawn = [
        # A sampler of its own for each trial, as in the workers.
        QuasiRandom(seed=3).sample_independent(study, _trial(number, TrialState.RUNNING), "margin", entry)
        for number in range(16)
    ]
    assert sorted(int((value - 0.1) / 0.9 * 16) for value in drawn) == list(range(16))
    again = sampler.sample_independent(study, _trial(5, TrialState.RUNNING), "margin", entry)
    assert again == drawn[5]


def test_a_quantile_is_a_value_of_the_distribution() -> None:
    assert at_quantile(FloatDistribution(1e-4, 1.0, log=True), 0.5) == pytest.approx(1e-2)
    whole = IntDistribution(1, 4)
    assert [at_quantile(whole, share) for share in (0.0, 0.3, 0.6, 0.999)] == [1, 2, 3, 4]
    assert [at_quantile(CategoricalDistribution(("a", "b")), share) for share in (0.0, 0.49, 0.5)] == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("optuna:TPESample", "TPESampler"), ("optuna:GridSampler", "search_space"), ("optuna:BaseSampler", "no sampler")],
)
def test_a_sampler_of_optuna_that_is_none_or_needs_more_is_refused(name: str, said: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        check_spec({"dataset": "breast", "search": {"sampler": name}}, "a")
    assert said in caught.value.problems[0]


def test_a_sampler_of_optuna_gets_the_seed_and_the_startup_trials() -> None:
    spec = make_spec(sampler="optuna:TPESampler", startup_trials=7)
    sampler = make_sampler(spec, 3)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert sampler._n_startup_trials == 7
