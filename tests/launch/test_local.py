"""Worker processes on this machine: who gets which device, and that none is left behind."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from hpo.errors import OutputError
from hpo.launch import local
from hpo.launch.local import LocalPlan, LocalWorkers, Seat, seats, watch


def test_by_default_there_is_one_worker_on_a_cpu_with_all_cores() -> None:
    assert seats(None, "auto", gpus=0) == (Seat("auto", len(os.sched_getaffinity(0))),)


def test_by_default_there_is_one_worker_for_each_gpu() -> None:
    assert [seat.device for seat in seats(None, "auto", gpus=3)] == ["cuda:0", "cuda:1", "cuda:2"]


def test_more_workers_than_gpus_share_them_in_turn() -> None:
    assert [seat.device for seat in seats(4, "auto", gpus=2)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_a_named_device_is_kept_and_cores_are_shared() -> None:
    places = seats(64, "cpu", gpus=2)
    assert {seat.device for seat in places} == {"cpu"}
    assert {seat.threads for seat in places} == {1}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the interpreter, so that a "worker" does what a test wants."""
    program = tmp_path / "worker"
    monkeypatch.setattr(sys, "executable", str(program))
    return program


def started(program: Path, script: str, count: int = 1) -> LocalWorkers:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    places = tuple(Seat("cpu", 1) for _ in range(count))
    return LocalWorkers(LocalPlan("s", "sqlite:///s.db", "data", places, program.parent / "logs"))


def test_the_address_reaches_a_worker_by_its_environment_and_not_by_its_command_line(stand_in: Path) -> None:
    workers = started(stand_in, 'echo "arguments $*"; echo "storage $HPO_STORAGE"; echo "data $HPO_DATA_DIR"')
    assert watch(workers, lambda: None, seconds=0.05) == []
    (log,) = (stand_in.parent / "logs").iterdir()
    arguments, storage, data = log.read_text().splitlines()
    assert storage == "storage sqlite:///s.db"
    assert data == "data data"
    assert "sqlite" not in arguments
    assert "worker s" in arguments


def test_a_worker_that_fails_is_told_with_its_code_and_the_end_of_its_log(stand_in: Path) -> None:
    failures = watch(started(stand_in, "echo what went wrong; exit 4", count=2), lambda: None, seconds=0.05)
    assert [end.code for end in failures] == [4, 4]
    assert failures[0].last_lines() == "what went wrong"


def test_an_interrupt_stops_the_workers_before_it_goes_on(stand_in: Path) -> None:
    workers = started(stand_in, 'trap "exit 130" TERM; while :; do sleep 0.05; done', count=2)

    def interrupt() -> None:
        time.sleep(0.3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(workers, interrupt, seconds=0.05)
    assert workers.running() == 0
    assert {end.code for end in workers.failures()} == {130}


def test_a_worker_that_does_not_stop_is_killed(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.5)
    workers = started(stand_in, 'trap "" TERM; while :; do sleep 0.05; done')
    time.sleep(0.3)
    workers.stop()
    assert workers.running() == 0
    assert [end.code for end in workers.failures()] == [-9]


def test_a_log_folder_that_cannot_be_made_is_a_sentence(stand_in: Path) -> None:
    (stand_in.parent / "logs").write_text("a file")
    with pytest.raises(OutputError, match=r"logs cannot be written .* give --log-dir"):
        started(stand_in, "exit 0")
