"""Trials read our way are those that Optuna reads, but for their attributes."""

from __future__ import annotations

from typing import Any

import optuna

from hpo.search.database.database import Database
from hpo.search.database.optuna_trials import SeenTrials
from hpo.search.queue.claiming import release
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, create_or_take_up
from hpo.search.worker.loop import run_worker
from tests.search.fakes import FakeTrainer, make_spec
from tests.search.lives import claimed


def _plain(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    values = {"params", "distributions", "intermediate_values", "number", "state", "values", "_trial_id"}
    return {name: getattr(trial, name) for name in values} | {"start": trial.datetime_start}


def _optunas(study: Study) -> list[dict[str, Any]]:
    return [_plain(trial) for trial in study.database.optuna.get_all_trials(study.study_id)]


def test_they_are_those_that_optuna_reads_and_later_ones_are_added(any_database: Database, name: str) -> None:
    study = create_or_take_up(any_database, name, make_spec(9, references=True))
    seen = SeenTrials(study.study_id)
    assert any_database.read(seen.look) == []
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=4)
    held = claimed(study, "running")
    first = any_database.read(seen.look)
    assert [_plain(trial) for trial in first] == _optunas(study)
    assert [trial.state.name for trial in first] == [*["COMPLETE"] * 4, "RUNNING"]
    run_worker(study, identity=this_process("w"), train=FakeTrainer(fails=lambda _: True), limit=2)
    release(held)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=1)
    second = any_database.read(seen.look)
    assert [_plain(trial) for trial in second] == _optunas(study)
    assert len(second) == 7
    assert second[0] is first[0]


def test_a_trial_that_was_made_through_optuna_takes_a_number_of_its_own(any_database: Database, name: str) -> None:
    study = create_or_take_up(any_database, name, make_spec(9))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=2)
    optuna.load_study(study_name=name, storage=any_database.optuna).enqueue_trial({"learning_rate": 0.01})
    held = claimed(study)
    assert (held.place, held.number) == (2, 3)
