"""Records that another version of hpo stored, in a database that this one reads and works on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hpo.errors import StorageError
from hpo.outcome.candidates import choose_candidates
from hpo.outcome.winner import entries_from_trial
from hpo.search.creation import create_or_open
from hpo.search.dashboard.notes import trial_note
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.listing import list_studies
from hpo.search.queries.trials import read_best, read_records, read_trials
from hpo.search.queue.claiming import release, store_record
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.replay import replay
from hpo.testing.trainer import FakeTrainer, make_record, make_spec
from hpo.testing.trials import claimed, recorded

RESULTS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/study.sqlite3"))
STUDIES_WITH_TRIALS = {"adrenal3d": 2, "breast": 3, "pneumonia": 2}


def change_record(study: Study, number: int, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Change what is stored of a trial; the record as it then is."""
    here = (schema.trials.c.study_id == study.study_id) & (schema.trials.c.trial_number == number)
    with study.database.engine.begin() as connection:
        stored: dict[str, Any] = json.loads(connection.scalar(sa.select(schema.trials.c.record).where(here)))
        change(stored)
        connection.execute(sa.update(schema.trials).where(here).values(record=json.dumps(stored)))
    return stored


def rename_a_setting(stored: dict[str, Any]) -> None:
    """As if the setting had had another name in the version that stored it."""
    stored["config"]["step_size"] = stored["config"].pop("learning_rate")
    stored["params"]["step_size"] = stored["params"].pop("learning_rate")


@pytest.fixture
def study(database: Database) -> Study:
    """Four complete trials; the configuration of trial 2 cannot be trained any more."""
    study = create_or_open(database, "study", make_spec(4))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    change_record(study, 2, rename_a_setting)
    return study


def test_a_configuration_that_is_no_longer_allowed_is_listed_as_it_was_stored(study: Study) -> None:
    rows = read_trials(study)
    assert [row.state for row in rows] == ["complete"] * 4
    assert "step_size" in rows[2].params
    assert "step_size" in trial_note("study", rows[2])
    best = {trial.value.number: trial for trial in read_best(study).trials}
    assert "step_size" in best[2].config
    assert len(read_records(study)) == 4


@pytest.mark.parametrize(
    "use",
    [
        lambda study: choose_candidates(study, top=4),
        lambda study: entries_from_trial(study, 2),
        lambda study: replay(study, 2, FakeTrainer()),
    ],
    ids=["candidates", "by hand", "replay"],
)
def test_a_configuration_that_is_no_longer_allowed_is_refused_where_it_is_trained(
    study: Study, use: Callable[[Study], object]
) -> None:
    with pytest.raises(StorageError, match=r"trial 2 of study study.*step_size"):
        use(study)


def test_a_worker_gives_back_a_trial_whose_configuration_it_cannot_train(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(1))
    held = claimed(study)
    assert store_record(held, make_record({"step_size": 0.1}))
    assert release(held)
    with pytest.raises(StorageError, match=r"trial 0 of study study.*step_size"):
        run_worker(study, identity=this_process("w"), train=FakeTrainer())
    assert [row.state for row in read_trials(study)] == ["free"]
    record = recorded(study, 0)
    assert (record.config, record.attempts) == ({"step_size": 0.1}, None)


def test_a_trial_of_a_newer_hpo_keeps_its_unknown_keys_when_it_is_resumed(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(1))
    held = claimed(study)
    assert store_record(held, make_record(study.spec.config({}).model_dump()))
    assert release(held)
    change_record(study, 0, lambda stored: stored.update(fold_seconds=[1.0, 2.0]))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    record = recorded(study, 0)
    assert record.unknown == {"fold_seconds": [1.0, 2.0]}
    assert (record.attempts, record.seeds.trial_seed) == (2, 1)
    assert read_trials(study)[0].state == "complete"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_the_committed_databases_are_read(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study.sqlite3"
    shutil.copyfile(path, copy)
    database = open_database(resolve_address(f"sqlite:///{copy}"), create=False)
    studies = list_studies(database)
    assert len(studies) == STUDIES_WITH_TRIALS[path.parent.name]
    for row in studies:
        study = open_study(database, row.name)
        trials = read_trials(study)
        assert len(trials) == row.finished
        assert len(read_records(study)) == len(trials)
        assert all(trial.seconds is not None and trial.peak_memory is not None for trial in trials)
        assert all(best.config for best in read_best(study).trials)
    database.close()
