"""Trials from start points: they take its values, and are search trials like any others."""

from __future__ import annotations

import json
from typing import Any

import optuna
import sqlalchemy as sa

from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_best, read_record, read_trials
from hpo.search.queue.workers import this_process
from hpo.search.strategy.sampler import _history_of
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.spec import StudySpec
from hpo.study.starts import Start
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.search.test_stored_specs import stored_before_groups

STARTS = (
    Start(name="known", values={"loss": "aucm_v1", "margin": 0.5, "learning_rate": 0.01}),
    Start(name="rate", values={"learning_rate": 0.02}),
)


def spec_with_starts(trials: int = 6, **options: Any) -> StudySpec:
    return make_spec(trials, references=True, **options).model_copy(update={"start": STARTS})


def ran(database: Database, trials: int = 6, **options: Any) -> Study:
    study = create_or_open(database, "study", spec_with_starts(trials, **options))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(study.spec.budget.epochs))
    return study


def test_the_first_searched_trials_take_the_values_of_the_start_points(database: Database) -> None:
    rows = read_trials(ran(database))
    assert [row.start for row in rows] == [None, None, "known", "rate", None, None]
    assert [row.reference is None for row in rows] == [False, False, True, True, True, True]
    assert rows[2].params.items() >= STARTS[0].values.items()
    assert rows[2].params.keys() == {"learning_rate", "weight_decay", "loss", "margin", "batch_size"}
    assert rows[3].params["learning_rate"] == 0.02
    assert {"learning_rate", "loss"} <= rows[3].params.keys()
    assert rows[2].label == "start known"
    record = read_record(open_study(database, "study"), 2)
    assert record.config["margin"] == 0.5


def test_values_that_a_start_point_does_not_name_are_those_that_would_have_been_drawn(database: Database) -> None:
    ran(database, sampler="random")
    plain = create_or_open(database, "plain", make_spec(6, references=True, sampler="random"))
    run_worker(plain, identity=this_process("w"), train=FakeTrainer(plain.spec.budget.epochs))
    with_starts, without = read_trials(open_study(database, "study"))[4:], read_trials(plain)[4:]
    assert [row.params for row in with_starts] == [row.params for row in without]


def test_the_sampler_learns_from_them_and_other_programs_see_their_names_and_parameters(database: Database) -> None:
    study = ran(database)
    history = _history_of(study)
    study.database.read(history.refresh)
    assert history.get_trial(2).params == read_trials(study)[2].params
    assert history.get_trial(0).params == {}
    stored = optuna.load_study(study_name="study", storage=str(database.engine.url)).trials
    assert [trial.user_attrs.get("start") for trial in stored] == [None, None, "known", "rate", None, None]
    assert stored[2].params == read_trials(study)[2].params
    assert all("reference" not in trial.user_attrs for trial in stored[2:])


def test_they_are_trained_in_stages_and_pruned_like_others(database: Database) -> None:
    bad = Start(name="bad", values={"learning_rate": 1e-4})
    spec = make_spec(14, epochs=9, references=True, pruner="asha").model_copy(update={"start": (*STARTS, bad)})
    study = create_or_open(database, "study", spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(9))
    rows = read_trials(study)
    assert rows[4].start == "bad"
    assert rows[4].state == "pruned"
    assert rows[0].state == rows[1].state == "complete"


def test_they_are_named_in_the_ranked_list(database: Database) -> None:
    found = {best.value.number: best for best in read_best(ran(database)).trials}
    assert found[2].label == "start known"
    assert found[4].label == ""


def test_a_study_from_before_start_points_goes_on_without_them(database: Database) -> None:
    plain = make_spec(4)
    old = stored_before_groups(database, "old", plain)
    here = schema.studies.c.study_id == old.study_id
    with database.engine.begin() as connection:
        stored = json.loads(connection.scalar(sa.select(schema.studies.c.spec).where(here)))
        del stored["start"]
        connection.execute(sa.update(schema.studies).where(here).values(spec=json.dumps(stored)))
    asked = plain.model_copy(update={"start": STARTS, "scoring": old.spec.scoring})
    resumed = create_or_open(database, "old", asked)
    assert resumed.spec.start == ()
    assert resumed.spec.fingerprint() == open_study(database, "old").spec.fingerprint()
