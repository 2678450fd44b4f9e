"""Several worker processes on one database, and what a kill leaves."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import optuna
import pytest
from sqlalchemy.engine import URL

from hpo.search.creation import create_or_open
from hpo.search.database.database import open_database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import recorded
from tests.forked import PROCESSES
from tests.search import process
from tests.search.planned import make_confirmation, make_plan
from tests.wait import until

pytestmark = pytest.mark.slow


@dataclass
class _Started:
    process: BaseProcess
    answer: Connection

    def finished(self) -> int:
        assert self.answer.poll(600)
        count: int = self.answer.recv()
        self.process.join(600)
        assert self.process.exitcode == 0
        return count


def _start(study: Study, worker: str, lease: float = 60.0, seconds: float = 0.01) -> _Started:
    address = study.database.url.render_as_string(hide_password=False)
    here, there = PROCESSES.Pipe(duplex=False)
    started = PROCESSES.Process(target=process.work, args=(address, study.name, worker, lease, seconds, there))
    started.start()
    there.close()
    return _Started(started, here)


def _finished_by(workers: list[_Started]) -> list[int]:
    return [worker.finished() for worker in workers]


def test_four_processes_finish_exactly_the_budget_and_a_larger_one_adds_the_rest(any_url: URL, name: str) -> None:
    database = open_database(any_url, create=True)
    study = create_or_open(database, name, make_spec(12, references=True))
    counts = _finished_by([_start(study, f"w{i}") for i in range(4)])
    assert sum(counts) == 12
    assert sum(_finished_by([_start(study, "again")])) == 0
    study = create_or_open(database, name, make_spec(20, references=True))
    assert sum(_finished_by([_start(study, f"w{i}") for i in range(4)])) == 8
    shown = optuna.load_study(study_name=name, storage=database.optuna).trials
    assert [trial.number for trial in shown] == list(range(20))
    assert {trial.state.name for trial in shown} == {"COMPLETE"}
    assert len({str(trial.params) for trial in shown}) == 20
    database.close()


def test_four_processes_train_every_candidate_of_a_confirmation_once_in_each_repeat(any_url: URL, name: str) -> None:
    database = open_database(any_url, create=True)
    spec = make_confirmation(make_plan(references=1, others=3), repeats=3, epochs=2)
    study = create_or_open(database, name, spec)
    assert sum(_finished_by([_start(study, f"w{i}") for i in range(4)])) == 12
    places = sorted((row.candidate or "", row.repeat) for row in read_trials(study))
    assert places == [(candidate.name, repeat) for candidate in make_plan(1, 3).candidates for repeat in (1, 2, 3)]
    seeds = {(row.repeat, recorded(study, row.number).seeds.scoring_seed) for row in read_trials(study)}
    assert len(seeds) == 3
    database.close()


def test_the_trial_of_a_killed_worker_is_finished_by_another_under_its_own_number(any_url: URL, name: str) -> None:
    database = open_database(any_url, create=True)
    study = create_or_open(database, name, make_spec(2), lease=1.0)
    victim = _start(study, "victim", lease=1.0, seconds=30.0)
    until(lambda: read_status(study).running, 300)
    victim.process.kill()
    victim.process.join()
    assert _finished_by([_start(study, "heir", lease=1.0)]) == [2]
    rows = read_trials(study)
    assert [(row.number, row.state, row.worker) for row in rows] == [(0, "complete", "heir"), (1, "complete", "heir")]
    assert [trial.number for trial in database.optuna.get_all_trials(study.study_id)] == [0, 1]
    database.close()
