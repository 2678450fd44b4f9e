"""A search on a real Slurm: its jobs reach their walltime, are preempted and killed, and it ends with its exact budget.

About three minutes, one of which is the shortest walltime that Slurm knows how to warn of.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from sqlalchemy.engine import URL

from hpo.search.database.database import open_database
from hpo.search.queries.status import read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import read_jobs, read_workers
from hpo.search.study import Study, open_study
from hpo.testing.trials import recorded
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.search.conftest import throw_away
from tests.slurm.cluster import Cluster, cluster
from tests.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.linux, pytest.mark.usefixtures("linear_network")]

NAME = "the digits' study"
SECRET = "s3cret@/:%{w0rd} x"
SMALL = {"budget.epochs": 2, "search.pruner": "none", "fixed.batch_size": 128, "fixed.network": "linear"}
MANY = 500
"""More trials than can be finished before everything has happened; then the budget is lowered."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from cluster(tmp_path_factory.mktemp("slurm"))


@pytest.fixture
def address() -> Iterator[URL]:
    """A database on a PostgreSQL, with a password in its address."""
    for url in throw_away("postgresql", "slurm"):
        yield url if url.password else url.set(password=SECRET)


class Search:
    """The commands of a user who searches on a cluster, and what he sees."""

    def __init__(self, slurm: Cluster, folder: Path, address: URL) -> None:
        self.slurm, self.folder = slurm, folder
        self.address = address.render_as_string(hide_password=False)
        self.secrets = {str(address.password), self.address.split("://")[1].split("@")[0].partition(":")[2]}

    def hpo(self, *arguments: str) -> str:
        """Runs a command that has to succeed; returns what it printed."""
        around = {"SLURM_CONF": str(self.slurm.conf), "HPO_STORAGE": self.address, "STEP_SECONDS": "0.3"}
        run = hpo_here(*arguments, cwd=self.folder, **around)
        assert run.returncode == 0, run.stderr
        assert not any(secret in run.stdout + run.stderr for secret in self.secrets)
        return run.stdout

    def launch(self, trials: int, *options: str) -> str:
        """`hpo launch` of the study; returns the number of the job, if there is one."""
        settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
        study = ["--dataset", "digits", "--name", NAME, "--trials", str(trials), *settings]
        return self.hpo("launch", *study, *options).strip()

    def log(self) -> str:
        """What all jobs said."""
        return "".join(path.read_text() for path in sorted(self.folder.rglob("hpo-logs/slurm/*.log")))

    def holders_of_the_secret(self, *folders: Path) -> list[Path]:
        """Files in which the password stands."""
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if any(secret.encode() in path.read_bytes() for secret in self.secrets)]


def trained(study: Study) -> list[int]:
    """Processes of the workers that hold a trial which has reported."""
    begun = {running.number for running in read_status(study).running if running.progress > 0}
    return [worker.process for worker in read_workers(study) if worker.alive and worker.trial in begun]


def test_slurm_takes_a_job_of_the_preset_that_it_described(slurm: Cluster, tmp_path: Path) -> None:
    around = {"SLURM_CONF": str(slurm.conf), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    made = hpo_here("cluster", "init", "--name", "mine", cwd=tmp_path, **around)
    assert made.returncode == 0, made.stderr
    presets = json.loads(hpo_here("slurm", "presets", "--json", cwd=tmp_path, **around).stdout)
    assert presets["mine"]["cores"] == 8
    limits = {"seconds": 3600, "gpus": {"any": 2}}
    assert presets["mine"]["partitions"] == {"main": limits, "urgent": limits}
    job = ("launch", "digits", "--on", "slurm", "--preset", "mine", "--one-node", "--test-only", "--mail", "root")
    taken = hpo_here(*job, "--memory", "4G", cwd=tmp_path, **around)
    assert (taken.returncode, unmentioned(taken.stdout, "main")) == (0, []), taken.stderr
    refused = hpo_here(*job, "--gres", "gpu:3", cwd=tmp_path, **around)
    assert (refused.returncode, unmentioned(refused.stderr, "gpu:3", 2)) == (2, [])
    assert slurm.run("squeue", "-h") == ""


def test_a_search_survives_walltimes_a_preemption_and_a_kill_and_ends_with_its_exact_budget(
    slurm: Cluster, tmp_path: Path, address: URL
) -> None:
    search = Search(slurm, tmp_path, address)
    job_options = ["--one-node", "--device", "cpu", "--cpus", "2", "--time", "2", "--warn", "60"]
    job = search.launch(MANY, "--on", "slurm", "--workers", "2", *job_options)
    study = open_study(open_database(address, create=False), NAME)

    def wait(true: Callable[[], bool]) -> None:
        until(true, 300, lambda: f"{slurm.states(job)}\n{search.log()}\n{slurm.logs()}", pause=0.2)

    wait(lambda: len(trained(study)) == 2)
    assert no_secret_in_the_processes(search, trained(study))
    shown = json.loads(search.hpo("status", NAME, "--json"))
    assert [(array["job"], array["running"]) for array in shown["jobs"]] == [(job, 2)]
    assert {worker["job"] for worker in shown["workers"]} == {f"{job}_0", f"{job}_1"}

    # The walltime: both are warned a minute after their start, give back and go back into the queue.
    wait(lambda: set(slurm.states(job).values()) == {"PENDING"})
    assert read_status(study).running == []

    # A worker is killed: its job fails, the other one goes on.
    wait(lambda: slurm.release(job) and len(trained(study)) == 2)
    killed = trained(study)[0]
    os.kill(killed, signal.SIGKILL)
    wait(lambda: Counter(slurm.states(job).values()) == {"FAILED": 1, "RUNNING": 1})
    assert unmentioned(search.log(), 128 + signal.SIGKILL) == []

    # A job of more importance takes the node.
    wait(lambda: bool(set(trained(study)) - {killed}))
    slurm.run("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    wait(lambda: "PREEMPTION" in search.log() and Counter(slurm.states(job).values())["PENDING"] == 1)
    assert set(trained(study)) <= {killed}

    # One trial more than have begun.
    budget = len(read_trials(study)) + 1
    search.launch(budget, "--fewer", "--on", "none")

    wait(lambda: slurm.release(job) and Counter(slurm.states(job).values()) == {"FAILED": 1, "COMPLETED": 1})
    rows = read_trials(study)
    assert_exact(rows, budget, search.log())
    assert max(recorded(study, row.number).attempts or 0 for row in rows) > 1
    shown_by_optuna = optuna.load_study(study_name=NAME, storage=study.database.optuna).trials
    assert [trial.number for trial in shown_by_optuna] == list(range(budget))
    assert {trial.state.name for trial in shown_by_optuna} == {"COMPLETE"}
    assert search.launch(budget, "--on", "slurm", *job_options) == ""
    assert len(read_jobs(study)) == 1
    (holder,) = search.holders_of_the_secret(tmp_path, slurm.folder)
    assert (holder.suffix, holder.stat().st_mode & 0o777) == (".address", 0o600)
    study.database.close()


def assert_exact(rows: list[TrialRow], budget: int, log: str) -> None:
    """As many trials as the budget says, and each of them ended once."""
    assert [row.number for row in rows] == list(range(budget))
    assert {row.state for row in rows} == {"complete"}
    ended = Counter(int(number) for number in re.findall(r"\btrial (\d+)\b.*\bcomplete\b", log))
    assert ended == dict.fromkeys(range(budget), 1)


def no_secret_in_the_processes(search: Search, processes: list[int]) -> bool:
    """Whether neither the command line nor the environment of a worker holds the password."""
    texts = [Path(f"/proc/{process}/{name}").read_bytes() for process in processes for name in ("cmdline", "environ")]
    return bool(texts) and not any(secret.encode() in text for secret in search.secrets for text in texts)


def test_a_stopped_search_leaves_no_job_and_no_trial_behind(slurm: Cluster, tmp_path: Path, address: URL) -> None:
    search = Search(slurm, tmp_path, address)
    # Five jobs of four cores on eight: three have to wait.
    job = search.launch(MANY, "--on", "slurm", "--workers", "5", "--one-node", "--device", "cpu", "--cpus", "4")
    study = open_study(open_database(address, create=False), NAME)
    until(lambda: len(trained(study)) == 2, 300, search.log, pause=0.2)
    assert Counter(slurm.states(job).values()) == {"RUNNING": 2, "PENDING": 3}
    done = json.loads(search.hpo("stop", NAME, "--now", "--json"))
    assert (done["waiting"], done["running"]) == (3, 0)
    until(lambda: set(slurm.states(job).values()) <= {"COMPLETED", "CANCELLED"}, 300, search.log, pause=0.2)
    # Slurm shows tasks that were cancelled before they started as one.
    assert Counter(slurm.states(job).values())["COMPLETED"] == 2
    assert read_status(study).running == []
    study.database.close()
