"""Checks of `hpo doctor`: what they find, and that one that fails hides no other."""

from __future__ import annotations

import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.errors import DataError, OutputError, StorageError
from hpo.launch.doctor import machine
from hpo.launch.doctor.data import look_at_data
from hpo.launch.doctor.database import DatabaseCheck
from hpo.launch.doctor.disk import Folder, look_at_disk
from hpo.launch.doctor.finding import Check, Finding, ok, run_checks
from hpo.launch.doctor.machine import look_at_device, look_at_packages
from hpo.launch.doctor.surroundings import look_at_proxy, look_at_slurm
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.files import default_spec
from tests.mention import unmentioned
from tests.own_files import own_file
from tests.wait import LIMIT


def test_a_check_that_raises_or_hangs_hides_no_other() -> None:
    over = threading.Event()

    def raises() -> Iterator[Finding]:
        yield ok("first", "seen before the fault")
        raise DataError("gone; fetch it")

    def hangs() -> Iterator[Finding]:
        over.wait(LIMIT)
        yield ok("second", "too late")

    def breaks() -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    checks = [
        Check("first", raises, DataError),
        Check("second", hangs, OutputError, seconds=0.05),
        Check("third", breaks, StorageError),
        Check("fourth", lambda: [ok("fourth", "fine")], StorageError),
    ]
    found = list(run_checks(checks))
    over.set()
    assert [(f.check, f.verdict, f.exit_code) for f in found] == [
        ("first", "ok", 0),
        ("first", "fault", 4),
        ("second", "fault", 9),
        ("third", "fault", 1),
        ("fourth", "ok", 0),
    ]


def test_a_missing_file_is_a_warning_unless_a_study_needs_it(tmp_path: Path) -> None:
    anything = list(look_at_data(tmp_path, tuple, misses_all=True))
    assert [finding.verdict for finding in anything] == ["ok", "warning"]
    assert [finding.verdict for finding in look_at_data(tmp_path, tuple)] == ["ok", "ok"]
    (needed,) = list(look_at_data(tmp_path, lambda: ("breast",)))
    assert (needed.verdict, needed.exit_code) == ("fault", 4)
    assert "`hpo data fetch breast`" in needed.cure


def test_a_dataset_without_a_file_is_not_said_to_be_in_the_folder(tmp_path: Path) -> None:
    (found,) = look_at_data(tmp_path, lambda: ("digits",))
    assert found.verdict == "ok"
    assert unmentioned(found.text, "digits", tmp_path) == [str(tmp_path)]


def test_the_other_datasets_of_a_study_are_needed_too(tmp_path: Path) -> None:
    (needed,) = list(look_at_data(tmp_path, lambda: ("breast", "pneumonia")))
    assert needed.verdict == "fault"
    assert "`hpo data fetch breast pneumonia`" in needed.cure


def test_an_altered_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(b"no archive")
    (altered,) = [f for f in look_at_data(tmp_path, tuple) if f.verdict == "fault"]
    assert "breastmnist.npz" in altered.text
    assert altered.exit_code == 4


def test_a_folder_that_is_not_there_is_judged_by_where_it_would_be(tmp_path: Path) -> None:
    (finding,) = list(look_at_disk([Folder("logs", tmp_path / "a" / "b")]))
    assert finding.verdict == "ok"
    assert "GiB" in finding.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    (finding,) = list(look_at_disk([Folder("logs", tmp_path / "logs" / "a")]))
    assert (finding.verdict, finding.exit_code) == ("fault", 9)


@pytest.mark.parametrize(("free", "verdict"), [(100 * 2**20, "fault"), (2**30, "warning"), (2**33, "ok")])
def test_little_room_warns_and_none_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    (finding,) = list(look_at_disk([Folder("checkpoints", tmp_path)]))
    assert finding.verdict == verdict


def test_no_slurm_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = list(look_at_slurm())
    assert (finding.verdict, finding.cure) == ("ok", "")


def fake_slurm(folder: Path, scontrol: str) -> None:
    for command in ("sbatch", "squeue", "scancel", "scontrol"):
        (folder / command).write_text(f"#!/bin/sh\n{scontrol}\n")
        (folder / command).chmod(stat.S_IRWXU)


def test_slurm_is_named_with_its_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_slurm(tmp_path, "printf 'ClusterName             = grace\\nSLURM_VERSION           = 23.11.4\\n'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    (finding,) = list(look_at_slurm())
    assert finding.verdict == "ok"
    assert unmentioned(finding.text, "grace", "23.11.4", 17) == []


def test_a_controller_that_does_not_answer_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_slurm(tmp_path, "echo 'what scontrol says' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (finding,) = list(look_at_slurm())
    assert finding.verdict == "warning"
    assert "what scontrol says" in finding.text


@pytest.mark.parametrize(
    ("bypass", "verdict"), [("", "warning"), ("c123.cluster", "ok"), (".cluster", "ok"), ("other", "warning")]
)
def test_a_proxy_has_to_leave_the_host_of_the_database_out(
    monkeypatch: pytest.MonkeyPatch, bypass: str, verdict: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy:8080")
    monkeypatch.setenv("no_proxy", bypass)
    (finding,) = list(look_at_proxy(lambda: "c123.cluster"))
    assert finding.verdict == verdict
    assert ("NO_PROXY" in finding.cure) == (verdict == "warning")


@pytest.mark.slow
def test_a_device_that_is_not_there_is_a_fault_of_its_kind() -> None:
    (finding,) = list(look_at_device("cuda:77"))
    assert (finding.verdict, finding.exit_code) == ("fault", 8)
    assert "cuda:77" in finding.text


@pytest.mark.slow
def test_a_gpu_that_pytorch_does_not_see_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "nvidia0").touch()
    # The process that looks loads torch; what it found is found again.
    found: list[subprocess.CompletedProcess[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        found.append(found[0] if found else subprocess.run(command, **options))
        return found[0]

    monkeypatch.setattr(machine, "subprocess", SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired))
    (finding,) = list(look_at_device("auto", nvidia=tmp_path / "nvidia0"))
    assert finding.verdict == "warning"
    (finding,) = list(look_at_device("auto", nvidia=tmp_path / "none"))
    assert finding.verdict == "ok"


def test_packages_are_named_with_their_versions() -> None:
    (finding,) = list(look_at_packages())
    assert finding.verdict == "ok"
    assert "optuna 5." in finding.text


def test_the_own_data_file_of_a_study_is_looked_for(tmp_path: Path) -> None:
    spec = default_spec(str(own_file(tmp_path / "mine.npz")))
    address = f"sqlite:///{tmp_path}/own.sqlite3"
    create_or_open(open_database(resolve_address(address), create=True), "mine", spec)
    check = DatabaseCheck(address, "mine")
    list(check.look())
    assert check.own == spec.own
    (tmp_path / "empty").mkdir()

    def found() -> list[str]:
        return [finding.verdict for finding in look_at_data(tmp_path / "empty", lambda: (spec.data,))]

    assert found() == ["ok"]
    (tmp_path / "mine.npz").unlink()
    assert found() == ["fault"]
