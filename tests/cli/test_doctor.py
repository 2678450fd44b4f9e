"""`hpo doctor` as a user runs it: a line for each finding, a document for programs, the first fault's exit code."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.api import open_study, run_worker
from hpo.launch.doctor import machine
from hpo.testing.trainer import FakeTrainer
from tests.cli.run import hpo_here
from tests.mention import numbers_in, unmentioned

pytestmark = pytest.mark.slow
CHECKS = {"database", "data", "device", "disk", "slurm", "proxy", "packages"}


@functools.cache
def run_once(command: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, **dict(options))


@pytest.fixture(autouse=True)
def _one_look_at_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that looks at a device loads torch, 2 s of CPU; what it found is found again by later tests."""

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return run_once(tuple(command), tuple(options.items()))

    monkeypatch.setattr(machine, "subprocess", SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired))


def test_a_fresh_machine_has_no_fault_and_every_check_is_told(tmp_path: Path) -> None:
    run = hpo_here("doctor", "--device", "cpu", "--data-dir", "data", "--all", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    findings = json.loads(run.stdout)
    assert {finding["check"] for finding in findings} == CHECKS
    assert list(tmp_path.iterdir()) == [], "looking made something"
    missing = next(f for f in findings if f["check"] == "data" and f["verdict"] == "warning")
    assert unmentioned(missing["cure"], "hpo data fetch breast") == []


def test_data_that_nobody_asked_for_are_no_warning(tmp_path: Path) -> None:
    run = hpo_here("doctor", "--device", "cpu", "--data-dir", "data", "--json", cwd=tmp_path)
    assert {finding["verdict"] for finding in json.loads(run.stdout) if finding["check"] == "data"} == {"ok"}


def test_a_study_in_order_is_told_with_its_trials(tmp_path: Path) -> None:
    assert hpo_here("launch", "--dataset", "digits", "--trials", "1", "--on", "none", cwd=tmp_path).returncode == 0
    study = open_study("digits", f"sqlite:///{tmp_path / 'hpo.sqlite3'}")
    assert run_worker(study, trainer=FakeTrainer()).finished == 1
    run = hpo_here("doctor", "--study", "digits", "--device", "cpu", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    told = [line for line in run.stdout.splitlines() if line.split()[0] == "ok"]
    assert [line for line in told if numbers_in(line)[:2] == [1, 1] and unmentioned(line, "digits") == []] != []
    assert numbers_in(run.stderr)[::2] == [len(told), 0], "what is in order, and faults"


@pytest.mark.parametrize(
    ("arguments", "code", "fact"),
    [
        (["--storage", "postgresql://u:s3cret@127.0.0.1:9/db"], 5, "127.0.0.1"),
        (["--storage", "orakel://x"], 5, "orakel"),
        (["--device", "cuda:77"], 8, "cuda:77"),
        (["--log-dir", "file/logs"], 9, "file/logs"),
    ],
    ids=["no server", "no such kind", "no such device", "no folder"],
)
def test_a_fault_gives_its_exit_code_and_hides_no_other_check(
    tmp_path: Path, arguments: list[str], code: int, fact: str
) -> None:
    (tmp_path / "file").touch()
    device = [] if "--device" in arguments else ["--device", "cpu"]
    run = hpo_here("doctor", *arguments, *device, "--json", cwd=tmp_path)
    assert run.returncode == code, run.stdout
    assert "s3cret" not in run.stdout + run.stderr
    findings = json.loads(run.stdout)
    assert {finding["check"] for finding in findings} == CHECKS
    (fault,) = [finding for finding in findings if finding["verdict"] == "fault"]
    assert unmentioned(fault["text"], fact) == []
    assert fault["exit_code"] == code


def test_a_study_that_is_not_there_is_exit_code_six(tmp_path: Path) -> None:
    assert hpo_here("db", "init", cwd=tmp_path).returncode == 0
    run = hpo_here("doctor", "--study", "nothing", "--device", "cpu", cwd=tmp_path)
    assert run.returncode == 6
    assert unmentioned(run.stdout, "nothing") == []
