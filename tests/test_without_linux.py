"""What hpo does on a system that is not Linux: nothing here was run on one, so what Linux has is taken away."""

from __future__ import annotations

import ast
import ctypes
import json
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from hpo import host
from hpo.search.queue import process_identity
from hpo.search.queue.process_identity import has_ended, own_identity, start_time, visible_identity_prefix
from hpo.training.machine import device, limits
from tests.cli.run import hpo, hpo_here
from tests.wait import until

REPOSITORY = Path(__file__).parents[1]

DIFFERING = ("ctypes", "errno", "fcntl", "mmap", "os", "pwd", "resource", "select", "signal", "socket", "time")
"""Modules of the standard library that have other names on other systems."""

# Files of the kernel cannot be opened by hpo, only by libraries, which see to themselves. What hpo asked for is noted.
WITHOUT = """
import os, sys

for name in ("sched_getaffinity", "memfd_create", "pidfd_open", "posix_fadvise", "posix_fallocate", "eventfd"):
    if hasattr(os, name):
        delattr(os, name)

def refuse(event, arguments):
    if event != "open" or not str(arguments[0]).startswith(("/proc/", "/sys/")):
        return
    frame = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package == "hpo":
            with open(os.environ["REFUSED"], "a") as file:
                file.write(f"{arguments[0]}\\n")
            raise FileNotFoundError(2, "this system has no such file", arguments[0])
        if package in ("psutil", "torch", "numpy", "multiprocessing"):
            return
        frame = frame.f_back

sys.addaudithook(refuse)
"""


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_identity, "_PROC", tmp_path / "none")


def test_without_an_affinity_all_cores_of_the_machine_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert host.affinity_cores() == os.cpu_count()
    assert limits.usable_cores(tmp_path / "own", tmp_path / "groups") == os.cpu_count()


def test_the_memory_of_the_machine_is_known_without_proc() -> None:
    assert host.installed_memory() == psutil.virtual_memory().total


def test_main_memory_is_limited_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert limits.limit_main_memory(2) is None
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_peak_of_memory_is_known_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "_STATUS", tmp_path / "none")
    used = psutil.Process().memory_info().rss
    assert used / 2 < device.peak_memory_bytes("cpu") < 100 * used


@pytest.mark.usefixtures("no_proc")
def test_whether_a_process_runs_is_known_without_proc() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = start_time(child.pid)
    assert began
    assert start_time(child.pid) == began
    child.kill()
    until(lambda: start_time(child.pid) is None)
    child.wait()
    assert start_time(child.pid) is None


@pytest.mark.usefixtures("no_proc")
def test_a_process_that_may_not_be_looked_at_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(process: int) -> psutil.Process:
        raise psutil.AccessDenied(process)

    monkeypatch.setattr(psutil, "Process", denied)
    assert start_time(1) == ""


@pytest.mark.usefixtures("no_proc")
def test_without_proc_no_process_has_an_identity_so_that_none_is_taken_for_another() -> None:
    assert own_identity() == visible_identity_prefix() == ""
    assert not has_ended(2**22 - 1, "boot/4026531836/1")


@pytest.mark.slow
def test_only_linux_is_asked_to_end_a_server_with_its_parent() -> None:
    """`prctl` is the one function of the kernel that hpo calls by ctypes; mypy cannot tell where there is none."""
    found = {
        node.attr
        for path in (REPOSITORY / "hpo").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value) == "ctypes.CDLL(None)"
    }
    assert found == {"prctl", "malloc_trim"}


def test_a_trial_begins_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str | None) -> None:
        raise AssertionError("no function of the C library is there")

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(limits, "_trials", 0)
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    device.start_of_trial(torch.device("cpu"))


def _what_mypy_says(platform: str, files: list[Path]) -> set[str]:
    # Without packages, which say nothing about a system, it takes 4 s, not two minutes.
    options = ["--config-file=", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=skip"]
    options += [f"--cache-dir={os.devnull}", "--no-error-summary", "--platform", platform]
    command = [sys.executable, "-m", "mypy", *options, *map(str, files)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.slow
def test_no_name_of_the_standard_library_is_used_that_macos_lacks(tmp_path: Path) -> None:
    asking = re.compile(rf"^\s*(import|from) ({'|'.join(DIFFERING)})\b", re.MULTILINE)
    files = [path for path in (REPOSITORY / "hpo").rglob("*.py") if asking.search(path.read_text(encoding="utf-8"))]
    assert len(files) > 20
    known = tmp_path / "linux.py"
    known.write_text("import os\n\nprint(os.sched_getaffinity(0))\n")
    found = _what_mypy_says("darwin", [*files, known]) - _what_mypy_says("linux", [*files, known])
    assert [f"{known.name}:3:" in line for line in found] == [True], found


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_a_study_runs_without_what_only_linux_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("REFUSED", str(tmp_path / "refused"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ['PYTHONPATH']}")
    quick = ("fixed.network=linear", "scoring.folds=2", "budget.epochs=1")
    settings = [word for setting in quick for word in ("--set", setting)]
    run = hpo("launch", "digits", "--trials", "2", "--workers", "1", "--device", "cpu", *settings, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    status = json.loads(hpo_here("status", "digits", "--json", cwd=tmp_path).stdout)
    assert (status["finished"], status["budget"]) == (2, 2)
    refused = set((tmp_path / "refused").read_text().split())
    assert {"/proc/self/cgroup", "/proc/meminfo", "/proc/sys/kernel/random/boot_id"} <= refused
