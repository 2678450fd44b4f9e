"""Plans to which candidates are added: old trials stay, workers notice, and nobody's addition is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from hpo.control import Control, Stop, StopReason
from hpo.errors import StudyConflictError, StudyNotFoundError
from hpo.search.admin.extension import extend_plan
from hpo.search.admin.studies import delete_study
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task, make_trainer
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.plan import Candidate, Plan
from hpo.testing.trainer import FakeTrainer, make_spec

RECIPE = Candidate(name="recipe", config=TrainConfig())


def method(name: str, rate: float = 0.02) -> Candidate:
    return Candidate(name=name, config=TrainConfig(learning_rate=rate), base="recipe", method=name)


def planned(database: Database, name: str = "s", repeats: int = 2) -> Study:
    """A recipe and a method."""
    plan = Plan(search="", candidates=(RECIPE, method("a")), top=2, racing_level=0.0)
    return create_or_open(database, name, make_spec(2 * repeats, epochs=2).model_copy(update={"plan": plan}))


def trained(study: Study) -> list[tuple[str | None, int | None]]:
    """Train what is left, and return what each trial is, by number."""
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    return [(row.candidate, row.repeat) for row in read_trials(open_study(study.database, study.name))]


def extended(study: Study, *names: str) -> None:
    plan = study.spec.plan
    assert plan is not None
    extend_plan(study, plan.with_more(tuple(map(method, names)), study.spec.budget.trials // len(plan.candidates)))


def test_added_candidates_are_trained_in_every_repeat_and_trials_keep_what_they_are(
    any_database: Database, name: str
) -> None:
    study = planned(any_database, name)
    before = trained(study)
    assert before == [("recipe", 1), ("a", 1), ("recipe", 2), ("a", 2)]
    extended(study, "b")
    again = open_study(any_database, name)
    assert (again.spec.budget.trials, again.fingerprint) == (6, again.spec.fingerprint())
    assert trained(again) == [*before, ("b", 1), ("b", 2)]


def test_a_worker_that_runs_trains_what_is_added_meanwhile(database: Database) -> None:
    study = planned(database)
    epochs: list[int] = []

    def add(epoch: int) -> None:
        epochs.append(epoch)
        if len(epochs) == 3:
            extended(study, "b", "c")

    run_worker(study, identity=this_process("w"), train=FakeTrainer(2, on_epoch=add))
    rows = read_trials(open_study(database, "s"))
    assert sorted((row.candidate, row.repeat) for row in rows) == [
        (name, repeat) for name in ("a", "b", "c", "recipe") for repeat in (1, 2)
    ]


def test_of_two_that_add_at_once_the_second_is_told_and_changes_nothing(database: Database) -> None:
    seen = planned(database)
    extended(open_study(database, "s"), "b")
    before = open_study(database, "s")
    with pytest.raises(StudyConflictError):
        extended(seen, "c")
    assert open_study(database, "s") == before


def test_more_seeds_that_were_asked_for_at_once_are_not_lost(database: Database) -> None:
    seen = planned(database)
    create_or_open(
        database, "s", seen.spec.model_copy(update={"budget": seen.spec.budget.model_copy(update={"trials": 6})})
    )
    with pytest.raises(StudyConflictError):
        extended(seen, "b")
    assert open_study(database, "s").spec.budget.trials == 6


def test_an_extension_whose_reply_was_lost_is_made_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planned(database)
    write = Database.write

    def twice(self: Database, work: Callable[[Connection], Any]) -> Any:
        write(self, work)
        return write(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", twice)
        extended(study, "b")
    assert len(trained(open_study(database, "s"))) == 6


def test_a_study_that_was_deleted_is_not_extended(database: Database) -> None:
    study = planned(database)
    delete_study(database, "s")
    with pytest.raises(StudyNotFoundError):
        extended(study, "b")


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_a_checkpoint_is_resumed_after_candidates_were_added_and_the_search_was_renamed(tmp_path: Path) -> None:
    config = TrainConfig(network="linear", batch_size=256)
    plan = Plan(search="digits", candidates=(Candidate(name="recipe", config=config),), top=1, racing_level=0.0)
    spec = default_spec("digits", ("budget.epochs=3", "scoring.rows=holdout"))
    task, stop = Task(config, seed=1, number=0, scoring_seed=2), Stop()
    first = make_trainer(spec.model_copy(update={"plan": plan}), None, "cpu", tmp_path)
    reports = first(replace(task, control=Control(stop, lambda _: None)))
    assert next(reports).epoch == 1
    stop.request(StopReason.SIGNAL)
    assert list(reports) == []
    changed = plan.with_more((method("added"),), 1).model_copy(update={"search": "renamed"})
    other = make_trainer(spec.model_copy(update={"plan": changed}), None, "cpu", tmp_path)
    assert [report.epoch for report in other(replace(task, fence=2, known={1: 1}))] == [2, 3]
