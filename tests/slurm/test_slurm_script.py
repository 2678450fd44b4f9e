"""The batch script, run by bash as Slurm runs it, with a stand-in for the workers and for `scontrol`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.launch.backends.slurm.plan import MAX_RESTARTS, SlurmOptions, SlurmPlan, WorkerCommand, make_plan
from hpo.launch.backends.slurm.script import render, slug
from tests.mention import unmentioned
from tests.slurm.fake import FakeSlurm
from tests.wait import LIMIT, until

STUDY = "an 'odd' \"name\" $HOME"
GIVES_BACK = 'trap "sleep 0.1; exit 130" USR2; echo ready >> "$here/ready"; while :; do sleep 0.05; done'


class Batch:
    """Runs the script of a plan whose workers are a shell script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slurm = FakeSlurm(folder / "slurm")
        self.started: list[subprocess.Popen[bytes]] = []

    def plan(self, worker: str, **wishes: object) -> SlurmPlan:
        """The plan of these wishes; `worker` is what each worker does."""
        program = self.folder / "a worker"
        program.write_text(f'#!/bin/bash\nhere="{self.folder}"\nprintf "%s|" "$@" >> "$here/calls"; {worker}\n')
        program.chmod(0o700)
        command = WorkerCommand(
            study=STUDY,
            address_file=self.folder / "the address",
            database_host="db1",
            data_dir=self.folder / "data",
            checkpoint_dir=str(self.folder / "checkpoints"),
            log_dir=self.folder / "logs",
        )
        return dataclasses.replace(make_plan(SlurmOptions(**wishes), command), python=str(program))

    def start(self, worker: str, restarts: int = 0, **wishes: object) -> subprocess.Popen[bytes]:
        """Starts the script as the task 4711_2."""
        script = self.folder / "job.sh"
        script.write_text(render(self.plan(worker, **wishes)))
        environment = {
            "PATH": f"{self.slurm.bin}:/usr/bin:/bin",
            "SLURM_JOB_ID": "4711",  # as Slurm has it for the last task of an array
            "SLURM_ARRAY_JOB_ID": "4711",
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_CPUS_PER_TASK": "6",
            "SLURM_RESTART_COUNT": str(restarts),
        }
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["bash", str(script)], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Waits for the end of a script; its code, and what it said."""
        return process.wait(LIMIT), (self.folder / "log").read_text()

    def run(self, worker: str, **wishes: object) -> tuple[int, str]:
        """Runs it to its end; returns its code and what it said."""
        return self.end(self.start(worker, **wishes))

    def workers(self, count: int) -> None:
        """Waits until so many workers listen."""
        ready = self.folder / "ready"
        until(lambda: ready.exists() and len(ready.read_text().splitlines()) == count)

    def calls(self) -> list[str]:
        """How the workers were called."""
        return (self.folder / "calls").read_text().replace("-P|", "").split("-m|hpo|worker|")[1:]


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    batch = Batch(tmp_path)
    yield batch
    for process in batch.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_the_script_asks_for_an_array_that_is_warned_and_goes_back_into_the_queue(batch: Batch) -> None:
    plan = batch.plan("", preset="grace", workers=5, workers_per_gpu=2, account="123456789012", warn=300)
    assert directives(render(plan)) == [
        "--job-name=hpo-an-odd-name-HOME",
        "--array=0-4",
        f'--output="{batch.folder}/logs/%A_%a.log"',
        "--open-mode=append",
        "--signal=B:USR2@300",
        "--requeue",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=8",
        "--partition=gpu",
        "--account=123456789012",
        "--gres=gpu:a100:1",
        "--mem=16G",
        "--time=1-00:00:00",
    ]


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [
        ({}, []),
        ({"mail": "me"}, ["--mail-user=me", "--mail-type=END,FAIL"]),
        ({"mail": "a.b+c@tamu.edu", "mail_type": "all"}, ["--mail-user=a.b+c@tamu.edu", "--mail-type=ALL"]),
    ],
)
def test_slurm_sends_mails_only_to_whom_was_asked_for(batch: Batch, wishes: dict[str, str], asked: list[str]) -> None:
    script = render(batch.plan("", **wishes))
    assert [line for line in directives(script) if line.startswith("--mail")] == asked


def test_a_percent_in_the_name_of_the_log_folder_is_no_pattern(batch: Batch) -> None:
    plan = batch.plan("")
    plan = dataclasses.replace(plan, command=dataclasses.replace(plan.command, log_dir=Path("/logs/50%a")))
    assert '--output="/logs/50%%a/%A_%a.log"' in directives(render(plan))


def test_modules_come_before_the_setup_and_that_before_the_exceptions_from_the_proxy(batch: Batch) -> None:
    script = render(batch.plan("", preset="grace", setup=("ulimit -c 0",)))
    order = ["module purge", "module load GCCcore/13.2.0 Python/3.11.5 WebProxy", "ulimit -c 0", "export NO_PROXY="]
    places = [script.index(text) for text in order]
    assert places == sorted(places)


def test_workers_are_told_study_place_threads_and_address_file(batch: Batch) -> None:
    code, said = batch.run('echo "$HPO_STORAGE $HPO_DATA_DIR $HPO_CHECKPOINT_DIR $NO_PROXY" > "$here/env"')
    assert code == 0, said
    assert batch.calls() == [f"--device|auto|--sharing|1|--threads|6|--worker-name|4711_2.0-0|--|{STUDY}|"]
    at = batch.folder
    assert (at / "env").read_text() == f"@{at}/the address {at}/data {at}/checkpoints localhost,127.0.0.1,db1\n"
    assert batch.slurm.calls("scontrol") == []


def test_a_job_with_a_gpu_does_not_train_on_a_cpu(batch: Batch) -> None:
    code, said = batch.run("", gres="gpu:1")
    assert code == 0, said
    assert batch.calls()[0].startswith("--device|cuda|--sharing|1|")


def test_several_workers_share_the_cores_and_each_gpu(batch: Batch) -> None:
    code, said = batch.run("", gres="gpu:2", workers_per_gpu=2)
    assert code == 0, said
    told = sorted(call.split("|")[1:8:2] for call in batch.calls())
    places = [("cuda:0", 0), ("cuda:0", 2), ("cuda:1", 1), ("cuda:1", 3)]
    assert sorted(told) == sorted([device, "2", "1", f"4711_2.0-{seat}"] for device, seat in places)


MEASURES = 'if [[ " $* " == *" slurm "* ]]; then printf "\\n"; echo settled >&2; %s; fi'


def test_a_job_that_is_to_measure_asks_on_its_node_and_starts_so_many_on_each_gpu(batch: Batch) -> None:
    code, said = batch.run(MEASURES % "echo 3; exit 0", gres="gpu:2", workers_per_gpu="auto")
    assert code == 0, said
    asked = (batch.folder / "calls").read_text().replace("-P|", "").split("-m|hpo|")[1]
    assert asked == f"slurm|measure|--device|auto|--|{STUDY}|"
    assert len(batch.calls()) == 6
    assert all("--sharing|3|--threads|1|" in call for call in batch.calls())
    assert unmentioned(said, 6, 1) == []


def test_a_job_measures_where_the_temporary_folder_of_the_submitting_host_is_missing(batch: Batch) -> None:
    code, said = batch.run(MEASURES % "echo 3; exit 0", workers_per_gpu="auto", setup=("export TMPDIR=/nowhere",))
    assert code == 0, said
    assert len(batch.calls()) == 3


@pytest.mark.parametrize("answer", ["exit 1", "echo nonsense; exit 0", "exit 0"])
def test_a_job_that_cannot_measure_starts_one_worker(batch: Batch, answer: str) -> None:
    code, said = batch.run(MEASURES % answer, workers_per_gpu="auto")
    assert code == 0, said
    assert len(batch.calls()) == 1


def test_a_warning_while_a_job_measures_ends_the_measuring_and_starts_no_worker(batch: Batch) -> None:
    job = batch.start(MEASURES % 'echo ready >> "$here/ready"; sleep 20', workers_per_gpu="auto")
    batch.workers(1)
    job.send_signal(signal.SIGUSR2)
    until(lambda: batch.slurm.calls("scontrol") == ["requeue 4711_2"])
    assert batch.calls() == []


def test_a_worker_that_fails_ends_the_job_with_its_code_when_the_others_have_ended(batch: Batch) -> None:
    code, said = batch.run(
        'mkdir "$here/first" 2>/dev/null && exit 5; sleep 0.1; echo late > "$here/late"', workers_per_gpu=2
    )
    assert code == 5
    assert unmentioned(said, 5) == []
    assert (batch.folder / "late").exists()
    assert batch.slurm.calls("scontrol") == []


def test_the_warning_is_handed_on_and_the_job_goes_back_when_all_trials_are_given_back(batch: Batch) -> None:
    job = batch.start(GIVES_BACK, workers_per_gpu=2)
    batch.workers(2)
    job.send_signal(signal.SIGUSR2)
    until(lambda: batch.slurm.calls("scontrol") == ["requeue 4711_2"])

    def has_ended() -> bool:
        job.send_signal(signal.SIGTERM)  # as Slurm does with a job that goes back
        return job.poll() is not None

    until(has_ended, pause=0.1)
    code, said = batch.end(job)
    assert code == 130
    assert unmentioned(said, "USR2") == []


def test_a_job_goes_back_whose_modules_have_taken_slurm_from_its_path(batch: Batch) -> None:
    job = batch.start(GIVES_BACK, setup=("PATH=/usr/bin:/bin",))
    batch.workers(1)
    job.send_signal(signal.SIGUSR2)
    until(lambda: batch.slurm.calls("scontrol") == ["requeue 4711_2"])


def test_a_job_that_slurm_ends_does_not_put_itself_back(batch: Batch) -> None:
    job = batch.start(GIVES_BACK, workers_per_gpu=2)
    batch.workers(2)
    job.send_signal(signal.SIGTERM)
    code, said = batch.end(job)
    assert code == 130
    assert batch.slurm.calls("scontrol") == []
    assert unmentioned(said, "TERM") == []


@pytest.mark.parametrize(
    ("restarts", "wishes", "named"), [(0, {"requeue": False}, ["USR2"]), (MAX_RESTARTS, {}, ["USR2", MAX_RESTARTS])]
)
def test_a_job_that_may_not_go_back_stays_ended(
    batch: Batch, restarts: int, wishes: dict[str, object], named: list[object]
) -> None:
    job = batch.start(GIVES_BACK, restarts=restarts, **wishes)
    batch.workers(1)
    job.send_signal(signal.SIGUSR2)
    code, said = batch.end(job)
    assert (code, batch.slurm.calls("scontrol")) == (130, [])
    assert unmentioned(said, *named) == []


def test_a_job_whose_workers_give_up_at_once_does_not_go_round_and_round(batch: Batch) -> None:
    code, _ = batch.run("exit 130")
    assert (code, batch.slurm.calls("scontrol")) == (130, [])


def test_a_warning_before_a_worker_listens_is_an_interruption_and_no_failure(batch: Batch) -> None:
    job = batch.start('echo ready >> "$here/ready"; sleep 20')
    batch.workers(1)
    job.send_signal(signal.SIGUSR2)
    until(lambda: batch.slurm.calls("scontrol") == ["requeue 4711_2"])


def test_a_cluster_that_does_not_take_the_job_back_is_reported(batch: Batch) -> None:
    batch.slurm.answers("scontrol", error="slurm_requeue error: Requested operation is presently disabled", code=1)
    job = batch.start(GIVES_BACK)
    batch.workers(1)
    job.send_signal(signal.SIGUSR2)
    code, said = batch.end(job)
    assert (code, batch.slurm.calls("scontrol")) == (130, ["requeue 4711_2"])
    assert unmentioned(said, "hpo launch") == []


@pytest.mark.parametrize(
    ("name", "part"), [("digits", "digits"), ("a b/c", "a-b-c"), ("...", "study"), ("éß", "study")]
)
def test_a_name_of_a_study_makes_a_plain_part_of_a_file_name(name: str, part: str) -> None:
    assert slug(name) == part
