"""Who works on a study, and how workers are asked to end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.queue.claiming import Claim, claim
from hpo.search.queue.workers import (
    read_jobs,
    read_workers,
    record_job,
    register_worker,
    request_stop,
    this_process,
)
from hpo.search.study import Study, create_or_take_up
from hpo.search.worker.loop import WorkerSummary, run_worker
from tests.search.fakes import FakeTrainer, make_spec


def test_a_worker_is_written_down_with_its_trial_and_its_end(any_database: Database, name: str) -> None:
    study = create_or_take_up(any_database, name, make_spec(3))
    register_worker(study, this_process("early", device="cuda:0", job="17_3"))
    held = claim(study, "early")
    assert isinstance(held, Claim)
    run_worker(study, identity=this_process("late"), train=FakeTrainer(1), limit=1)
    early, late = read_workers(study)
    assert (early.name, early.device, early.job, early.trial, early.alive) == ("early", "cuda:0", "17_3", 0, True)
    assert (late.finished, late.trial, late.alive) == (1, None, False)
    assert late.message == "it has done as many trials as it was to do"
    assert 0 <= late.silent < 30


def test_a_worker_that_comes_back_under_its_name_begins_anew(any_database: Database, name: str) -> None:
    study = create_or_take_up(any_database, name, make_spec(3))
    first = register_worker(study, this_process("w"))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1), limit=1)
    again = register_worker(study, this_process("w"))
    (row,) = read_workers(study)
    assert (row.finished, row.ended, row.message) == (0, None, None)
    assert again > first


def test_jobs_are_listed_in_the_order_of_their_submission(any_database: Database, name: str) -> None:
    study = create_or_take_up(any_database, name, make_spec(3))
    for job in ("100", "99"):
        record_job(study, cluster="grace", job=job, tasks=4, log_dir="/scratch/logs")
    assert [(row.job, row.tasks, row.log_dir) for row in read_jobs(study)] == [
        ("100", 4, "/scratch/logs"),
        ("99", 4, "/scratch/logs"),
    ]


def _ends_after_a_stop(study: Study, *, at_once: bool) -> WorkerSummary:
    summaries: list[WorkerSummary] = []

    def work() -> None:
        summaries.append(run_worker(study, identity=this_process("w"), train=FakeTrainer(4, 0.3)))

    worker = threading.Thread(target=work)
    worker.start()
    while not read_status(study).running:
        time.sleep(0.02)
    request_stop(study, at_once=at_once)
    worker.join(30)
    return summaries[0]


def test_a_worker_that_is_asked_to_end_finishes_its_trial_first(database: Database) -> None:
    study = create_or_take_up(database, "study", make_spec(5), lease=0.6)
    summary = _ends_after_a_stop(study, at_once=False)
    assert (summary.finished, summary.ended, summary.interrupted) == (1, "drained", False)


def test_a_worker_that_is_asked_to_end_at_once_gives_its_trial_back(database: Database) -> None:
    study = create_or_take_up(database, "study", make_spec(5), lease=0.6)
    summary = _ends_after_a_stop(study, at_once=True)
    assert (summary.finished, summary.ended, summary.interrupted) == (0, "drained", False)
    assert [row.state for row in read_trials(study)] == ["free"]


def test_a_worker_that_starts_after_the_request_is_not_meant(database: Database) -> None:
    study = create_or_take_up(database, "study", make_spec(2))
    request_stop(study, at_once=True)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(1)).finished == 2


def test_the_folder_of_a_study_is_readable_and_its_own(database: Database, tmp_path: Path) -> None:
    odd = create_or_take_up(database, "../a b/ü", make_spec(2))
    assert odd.folder.startswith("-a-b-ü-")
    assert (tmp_path / odd.folder).resolve().parent == tmp_path
    assert create_or_take_up(database, "other", make_spec(2)).folder.rpartition("-")[2] != odd.folder.rpartition("-")[2]
