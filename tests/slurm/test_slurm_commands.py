"""`hpo launch --on slurm`, `hpo slurm` and `hpo stop` as a user calls them, with a stand-in for Slurm."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.run import hpo, hpo_here
from tests.mention import unmentioned
from tests.slurm.fake import FakeSlurm

SERVER = "postgresql://me:s3cret-w0rd@db1:5432/hpo"


@pytest.mark.parametrize(
    "arguments", [["slurm", "script", "a study"], ["launch", "--dataset", "digits", "--on", "slurm", "--dry-run"]]
)
def test_a_script_is_printed_for_reading_and_nothing_is_stored(tmp_path: Path, arguments: list[str]) -> None:
    options = ["--preset", "grace", "--workers", "3", "--storage", SERVER]
    run = hpo_here(*arguments, *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "#SBATCH --array=0-2" in run.stdout
    assert "`hpo launch --on slurm`" in run.stderr
    assert "s3cret" not in run.stdout + run.stderr
    assert subprocess.run(["bash", "-n"], input=run.stdout, text=True, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--storage", "sqlite:///a.db"], 5, ["hpo db serve", "--one-node"]),
        (["--storage", SERVER, "--preset", "aces", "--time", "3-00"], 2, ["TAMU HPRC ACES", "--time", "2-00:00:00"]),
        (["--storage", SERVER, "--preset", "gracee"], 2, ["gracee"]),
        (["--storage", SERVER, "--test-only"], 2, ["sbatch"]),
        (["--storage", SERVER, "--dry-run", "--log-dir", 'a "b"'], 9, ["--log-dir", 'a "b"']),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_job_that_cannot_be_is_an_error_with_its_code(
    tmp_path: Path, options: list[str], code: int, named: list[str]
) -> None:
    run = hpo_here("launch", "--dataset", "digits", "--on", "slurm", *options, cwd=tmp_path, PATH="/nowhere")
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert "s3cret" not in run.stderr
    assert unmentioned(run.stderr, *named) == []
    assert list(tmp_path.iterdir()) == []


def test_presets_are_listed_for_people_and_for_programs(tmp_path: Path) -> None:
    assert "TAMU HPRC FASTER" in hpo_here("slurm", "presets", cwd=tmp_path).stdout
    listed = json.loads(hpo_here("slurm", "presets", "--json", cwd=tmp_path).stdout)
    assert listed["grace"]["partitions"]["gpu"] == {"seconds": 604_800, "gpus": {"a100": 2, "rtx": 2, "t4": 4}}


@pytest.mark.slow
def test_a_study_is_launched_looked_at_and_stopped(tmp_path: Path) -> None:
    slurm = FakeSlurm(tmp_path / "slurm")
    (work := tmp_path / "work").mkdir()
    around = {"PATH": f"{slurm.bin}:{os.environ['PATH']}"}
    launch = ["launch", "--dataset", "digits", "--trials", "4", "--on", "slurm", "--one-node", "--workers", "2"]
    run = hpo(*launch, cwd=work, **around)
    assert (run.returncode, run.stdout) == (0, "4711\n"), run.stderr
    assert unmentioned(run.stderr, 4711, "testcluster", 2) == []

    slurm.queue("4711|0|RUNNING", "4711|1|PENDING|Resources")
    status = json.loads(hpo("status", "digits", "--json", cwd=work, **around).stdout)
    assert (status["jobs"][0]["running"], status["jobs"][0]["waiting"], status["slurm"]) == (1, 1, None)
    assert status["workers"] == []
    assert unmentioned(hpo("status", "digits", cwd=work, **around).stdout, 4711, "testcluster", "Resources") == []

    stop = hpo("stop", "digits", "--json", cwd=work, **around)
    assert stop.returncode == 0, stop.stderr
    done = json.loads(stop.stdout)
    assert (done["asked"], done["waiting"], done["running"]) == (0, 1, 1)
    assert hpo("stop", "digits", cwd=work, PATH="/nowhere").returncode == 2


def test_workers_of_a_job_are_told_their_reporters_with_whole_paths(tmp_path: Path) -> None:
    arguments = ["--storage", SERVER, "--reporter", "mlflow=a b", "--tensorboard", "events"]
    done = hpo_here("launch", "--dataset", "digits", "--on", "slurm", "--dry-run", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"--reporter 'mlflow=a b' --reporter tensorboard={tmp_path}/events -- digits" in done.stdout
