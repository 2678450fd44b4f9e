"""Several worker processes on one database, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from sqlalchemy.engine import URL

from hpo.search.database.database import open_database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study, create_or_open
from tests.search.fakes import make_spec
from tests.search.planned import make_confirmation, make_plan
from tests.search.trials import recorded
from tests.wait import until

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]


def _start(study: Study, worker: str, lease: float = 60.0, seconds: float = 0.01) -> subprocess.Popen[str]:
    address = study.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.search.process", address, study.name, worker, str(lease), str(seconds)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def _finished_by(workers: list[subprocess.Popen[str]]) -> list[int]:
    counts = [int(worker.communicate(timeout=600)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers)
    return counts


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
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert _finished_by([_start(study, "heir", lease=1.0)]) == [2]
    rows = read_trials(study)
    assert [(row.number, row.state, row.worker) for row in rows] == [(0, "complete", "heir"), (1, "complete", "heir")]
    assert [trial.number for trial in database.optuna.get_all_trials(study.study_id)] == [0, 1]
    database.close()
