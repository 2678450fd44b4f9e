"""`confirm` and `ablate` train what is left of their plan, by whatever trains it, and return the leaderboard."""

from __future__ import annotations

import pytest

from hpo.outcome.ablation import ablation_name
from hpo.outcome.confirmation import Train, ablate, confirm
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queue.workers import this_process
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec


def _search(database: Database) -> Study:
    study = create_or_open(database, "search", make_spec(6, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    return study


def _training(database: Database, calls: list[str], limit: int | None = None) -> Train:
    """Trains as a worker of this process does, at most `limit` trials, and notes that it was called."""

    def train(spec: StudySpec, name: str) -> None:
        calls.append(name)
        study = create_or_open(database, name, spec)
        run_worker(study, identity=this_process(f"w{len(calls)}"), train=FakeTrainer(), limit=limit)

    return train


@pytest.mark.slow
def test_a_confirmation_is_trained_once_and_asked_again_only_read(database: Database) -> None:
    search, calls = _search(database), []
    train = _training(database, calls)
    found = confirm(search, train=train, top=2, seeds=2)
    assert (found.name, found.search, found.done, found.whole) == ("search-confirm", "search", True, 2)
    assert found.winner in {row.candidate for row in found.leaderboard}
    assert confirm(search, train=train) == found
    assert calls == ["search-confirm"]
    assert confirm(search, train=train, seeds=3).whole == 3
    assert calls == ["search-confirm"] * 2


def test_a_confirmation_that_is_not_trained_through_is_returned_as_it_stands(database: Database) -> None:
    search, calls = _search(database), []
    found = confirm(search, train=_training(database, calls, limit=1), name="again", top=2, seeds=2)
    assert (found.name, found.done, found.winner, found.whole) == ("again", False, None, 0)


@pytest.mark.slow
def test_an_ablation_compares_the_changes_with_the_trial_that_is_named(database: Database) -> None:
    search, calls = _search(database), []
    found = ablate(search, train=_training(database, calls), seeds=2, trial=3)
    assert (found.name, found.done, found.repeats) == (ablation_name("search"), True, 2)
    assert next(row.candidate for row in found.leaderboard if row.is_reference) == "trial 3"
    assert calls == [ablation_name("search")]
