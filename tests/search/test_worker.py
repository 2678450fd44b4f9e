"""The worker's life: limits, stops, lost leases, failures, bugs."""

from __future__ import annotations

import threading
import time

import optuna
import pytest
import sqlalchemy as sa

from hpo.errors import DataError
from hpo.search import tables
from hpo.search.budget import Claim, claim
from hpo.search.reading import read_record, read_status, read_trials
from hpo.search.storage import Database
from hpo.search.study import Study, create_or_take_up
from hpo.search.worker import run_worker
from tests.search.fakes import FakeReport, FakeTrainer, make_spec


def _study(database: Database, trials: int = 3, *, lease: float = 60.0) -> Study:
    return create_or_take_up(database, "study", make_spec(trials), lease=lease)


def test_a_worker_with_a_limit_does_that_many(database: Database) -> None:
    assert run_worker(_study(database), worker="w", train=FakeTrainer(), limit=2).finished == 2
    assert read_status(_study(database)).finished == 2


def test_a_worker_that_is_told_to_stop_gives_its_trial_back(database: Database) -> None:
    study, steps = _study(database), iter(range(15))
    summary = run_worker(study, worker="w", train=FakeTrainer(), stop=lambda: next(steps, None) is None)
    assert summary.interrupted
    status = read_status(study)
    assert (status.finished, status.free, status.running) == (0, 1, [])


def test_a_keyboard_interrupt_gives_the_trial_back(database: Database) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    study = _study(database)
    assert run_worker(study, worker="w", train=FakeTrainer(on_epoch=interrupt)).interrupted
    assert read_status(study).free == 1


def test_a_bug_in_training_gives_the_trial_back_and_comes_out(database: Database) -> None:
    def bug(_: int) -> None:
        raise ZeroDivisionError

    study = _study(database)
    with pytest.raises(ZeroDivisionError):
        run_worker(study, worker="w", train=FakeTrainer(on_epoch=bug))
    assert read_status(study).free == 1


def test_a_configuration_that_fails_by_its_own_fault_counts_and_has_its_reason(database: Database) -> None:
    study = _study(database)
    summary = run_worker(study, worker="w", train=FakeTrainer(fails=lambda config: config.loss == "cross_entropy"))
    rows = read_trials(study)
    assert summary.finished == 3
    assert summary.failed == sum(row.params["loss"] == "cross_entropy" for row in rows) > 0
    assert {row.reason for row in rows if row.state == "failed"} == {"diverged"}


def test_rows_that_a_resplit_cannot_divide_fail_that_trial_only(database: Database) -> None:
    def refuse(_: int) -> None:
        raise DataError("no row of label 1 is left to train on")

    study = _study(database)
    assert run_worker(study, worker="w", train=FakeTrainer(on_epoch=refuse)).failed == 3


def test_a_worker_that_lost_its_lease_drops_the_trial_and_takes_the_next(database: Database) -> None:
    study, told, thefts = _study(database, 2), [], []

    def steal(epoch: int) -> None:
        if epoch == 2 and not thefts:
            thefts.append(epoch)
            with database.engine.begin() as connection:
                connection.execute(sa.update(tables.trials).where(tables.trials.c.place == 0).values(lease_until=0.0))
            assert isinstance(claim(study, "thief"), Claim)

    summary = run_worker(study, worker="w", train=FakeTrainer(on_epoch=steal), on_event=told.append, wait=False)
    assert summary.finished == 1
    assert "trial 0: its lease ran out and another worker has it; dropped" in told
    assert [row.state for row in read_trials(study)] == ["running", "complete"]


def test_the_lease_is_renewed_while_an_epoch_lasts_longer_than_it(database: Database) -> None:
    study = _study(database, 1, lease=0.8)
    worker = threading.Thread(target=run_worker, args=(study,), kwargs={"worker": "w", "train": FakeTrainer(1, 2.5)})
    worker.start()
    while not read_status(study).running:
        time.sleep(0.02)
    time.sleep(1.4)
    running = read_status(study).running
    assert [trial.worker for trial in running] == ["w"]
    assert 0.2 < running[0].progress < 1
    worker.join()
    assert read_trials(study)[0].state == "complete"


def test_a_worker_waits_for_the_rest_and_takes_up_what_a_dead_one_left(database: Database) -> None:
    study = _study(database, 1, lease=0.4)
    assert isinstance(claim(study, "dead"), Claim)
    assert run_worker(study, worker="heir", train=FakeTrainer(1), wait=False).finished == 0
    assert run_worker(study, worker="heir", train=FakeTrainer(1)).finished == 1
    assert read_trials(study)[0].worker == "heir"


def test_a_trial_that_someone_ended_in_the_dashboard_still_ends_for_hpo(database: Database) -> None:
    def end(epoch: int) -> None:
        if epoch == 2:
            shown = optuna.load_study(study_name="study", storage=database.optuna)
            shown.tell(0, state=optuna.trial.TrialState.FAIL)

    study = _study(database, 1)
    assert run_worker(study, worker="w", train=FakeTrainer(on_epoch=end)).finished == 1
    assert read_trials(study)[0].state == "complete"


def test_the_record_holds_what_a_trial_needs_to_be_run_again(database: Database) -> None:
    study = _study(database, 1)
    run_worker(study, worker="w", train=FakeTrainer())
    record = read_record(study, 0)
    assert set(record) == {
        *("config", "params", "study_seed", "trial_seed", "code_version", "dirty"),
        *("environment", "data_md5", "seconds", "peak_memory"),
    }
    assert record["config"]["schedule"] == "constant"


def test_optuna_shows_the_last_report_as_the_value_and_every_report_as_a_step(database: Database) -> None:
    run_worker(_study(database, 1), worker="w", train=FakeTrainer(3))
    trial = optuna.load_study(study_name="study", storage=database.optuna).trials[0]
    assert sorted(trial.intermediate_values) == [1, 2, 3]
    assert trial.value == trial.intermediate_values[3]
    assert trial.user_attrs["standard_error"] == FakeReport(1, 0.5).standard_error
