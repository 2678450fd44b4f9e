"""Who works on a study, and how workers are asked to end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.control import StopReason
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue import process_identity
from hpo.search.queue.workers import (
    read_jobs,
    read_last_stop,
    read_workers,
    record_job,
    register_worker,
    request_stop,
    this_process,
)
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import claimed, expire
from tests.wait import LIMIT, until


def test_a_worker_is_written_down_with_its_trial_and_its_end(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(3))
    register_worker(study, this_process("early", device="cuda:0", job="17_3"))
    claimed(study, "early")
    summary = run_worker(study, identity=this_process("late"), train=FakeTrainer(1), limit=1)
    early, late = read_workers(study)
    assert (early.name, early.device, early.job, early.trial, early.alive) == ("early", "cuda:0", "17_3", 0, True)
    assert (late.finished, late.trial, late.alive) == (1, None, False)
    assert (summary.ended, late.message) == ("limit", summary.description)
    assert 0 <= late.silent < LIMIT


def test_the_trials_are_not_looked_through_for_each_worker(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(3))
    statements: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection: object, _cursor: object, statement: str, given: tuple[object, ...], *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, given))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    read_workers(study)
    sa.event.remove(database.engine, "before_cursor_execute", note)
    with database.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given).all() for text, given in statements]
    assert plans
    assert not [row.detail for plan in plans for row in plan if "CORRELATED" in row.detail]


def test_a_worker_that_comes_back_under_its_name_begins_anew(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(3))
    first = register_worker(study, this_process("w"))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1), limit=1)
    again = register_worker(study, this_process("w"))
    (row,) = read_workers(study)
    assert (row.finished, row.ended, row.message) == (0, None, None)
    assert again > first


def test_workers_of_equal_pids_in_two_containers_with_the_name_of_their_host_are_two_workers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_or_open(database, "study", make_spec(3))
    register_worker(study, this_process())
    # As in a container: the namespace of this process is not that of the host.
    monkeypatch.setattr(process_identity, "_NAMESPACE_OF_HOST", 1)
    register_worker(study, this_process())
    assert len({row.name for row in read_workers(study)}) == 2
    assert {row.process for row in read_workers(study)} == {os.getpid()}


def test_a_worker_that_comes_late_is_stopped_with_those_of_its_launch(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(9))
    request_stop(study, at_once=False)
    before = read_last_stop(study)
    train = FakeTrainer(1)
    # A request from before the launch is over, one from after it began is not.
    assert run_worker(study, identity=this_process("a"), train=train, limit=1, last_stop=before).finished == 1
    request_stop(study, at_once=True)
    summary = run_worker(study, identity=this_process("b"), train=train, last_stop=float(repr(before)))
    assert (summary.finished, summary.ended) == (0, StopReason.DRAIN)
    again = read_last_stop(study)
    assert run_worker(study, identity=this_process("c"), train=train, limit=1, last_stop=again).finished == 1
    assert run_worker(study, identity=this_process("d"), train=train, limit=1).finished == 1


def test_jobs_are_listed_in_the_order_of_their_submission(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(3))
    for job in ("100", "99"):
        record_job(study, cluster="grace", job=job, tasks=4, log_dir="/scratch/logs")
    assert [(row.job, row.tasks, row.log_dir) for row in read_jobs(study)] == [
        ("100", 4, "/scratch/logs"),
        ("99", 4, "/scratch/logs"),
    ]


@pytest.mark.usefixtures("quick_heartbeat")
def test_a_worker_that_is_asked_to_end_finishes_its_trial_first(database: Database) -> None:
    def ask(epoch: int) -> None:
        if epoch == 1:
            request_stop(study, at_once=False)
            expire(study)
            # A heartbeat renews the lease, and brings the request with it.
            until(lambda: read_workers(study)[0].trial == 0)

    study = create_or_open(database, "study", make_spec(5))
    summary = run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=ask))
    assert (summary.finished, summary.ended, summary.interrupted) == (1, StopReason.DRAIN, True)


@pytest.mark.usefixtures("quick_heartbeat")
def test_a_worker_that_is_asked_to_end_at_once_gives_its_trial_back(database: Database) -> None:
    def ask(epoch: int) -> None:
        request_stop(study, at_once=True)
        until(train.stop)

    study, train = create_or_open(database, "study", make_spec(5)), FakeTrainer(on_epoch=ask)
    summary = run_worker(study, identity=this_process("w"), train=train)
    assert (summary.finished, summary.ended, summary.interrupted) == (0, StopReason.DRAIN_NOW, True)
    assert [row.state for row in read_trials(study)] == ["free"]


def test_a_worker_that_starts_after_the_request_is_not_meant(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(2))
    request_stop(study, at_once=True)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(1)).finished == 2


def test_the_folder_of_a_study_is_readable_and_its_own(database: Database, tmp_path: Path) -> None:
    odd = create_or_open(database, "../a b/ü", make_spec(2))
    assert odd.folder.startswith("-a-b-ü-")
    assert (tmp_path / odd.folder).resolve().parent == tmp_path
    assert create_or_open(database, "other", make_spec(2)).folder.rpartition("-")[2] != odd.folder.rpartition("-")[2]
