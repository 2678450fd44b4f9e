"""A worker knows the Slurm job that it runs in, and when that ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.launch.allocation import current_allocation, read_time_left
from tests.clock import Clock
from tests.slurm.fake import FakeSlurm

JOB = {"SLURM_JOB_ID": "4713", "SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": "2", "SLURMD_NODENAME": "gpu07"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1_700_000_000.0)
    monkeypatch.setattr("hpo.launch.allocation.time", clock)
    return clock


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.bin}:/usr/bin:/bin")
    return fake


def test_outside_of_a_job_there_is_none(slurm: FakeSlurm) -> None:
    assert current_allocation({"SLURM_CONF": "/etc/slurm.conf"}) is None
    assert slurm.calls("squeue") == []


def test_a_task_of_an_array_is_called_as_squeue_shows_it(slurm: FakeSlurm) -> None:
    allocation = current_allocation({**JOB, "SLURM_RESTART_COUNT": "3"})
    assert allocation is not None
    assert (allocation.label, allocation.array_task) == ("4711_2", 2)
    assert (allocation.node, allocation.restarts) == ("gpu07", 3)


def test_a_job_without_an_array_is_called_by_its_number(slurm: FakeSlurm) -> None:
    allocation = current_allocation({"SLURM_JOB_ID": "99"})
    assert allocation is not None
    assert (allocation.label, allocation.array_task, allocation.restarts) == ("99", None, 0)


def test_the_end_that_slurm_tells_is_taken_without_asking(slurm: FakeSlurm, clock: Clock) -> None:
    allocation = current_allocation({**JOB, "SLURM_JOB_END_TIME": str(int(clock.now) + 600)})
    assert allocation is not None
    clock.sleep(10)
    assert allocation.seconds_left() == 590
    assert slurm.calls("squeue") == []


def test_an_end_long_ago_is_that_of_a_job_that_a_shell_has_outlived(slurm: FakeSlurm, clock: Clock) -> None:
    slurm.answers("squeue", error="slurm_load_jobs error: Invalid job id specified", code=1)
    allocation = current_allocation({**JOB, "SLURM_JOB_END_TIME": str(int(clock.now) - 7200)})
    assert allocation is not None
    assert allocation.seconds_left() is None


def test_else_squeue_is_asked_for_the_time_that_is_left(slurm: FakeSlurm, clock: Clock) -> None:
    slurm.answers("squeue", "1:30:00\n")
    allocation = current_allocation(JOB)
    assert allocation is not None
    clock.sleep(10)
    assert allocation.seconds_left() == 5390
    assert slurm.calls("squeue") == ["--noheader --jobs 4711_2 --format %L"]


@pytest.mark.parametrize(("answer", "code"), [("UNLIMITED\n", 0), ("", 1), ("INVALID\n", 0)])
def test_a_job_without_a_known_end_has_no_seconds_left(slurm: FakeSlurm, answer: str, code: int) -> None:
    slurm.answers("squeue", answer, error="slurm_load_jobs error" if code else "", code=code)
    allocation = current_allocation(JOB)
    assert allocation is not None
    assert allocation.seconds_left() is None


def test_a_job_on_a_node_without_squeue_is_still_known(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm.no_more(monkeypatch)
    allocation = current_allocation(JOB)
    assert allocation is not None
    assert allocation.ends is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:07", 7), ("59:58", 3598), ("1:02:03", 3723), ("2-00:00:00", 172_800), ("NOT_SET", None), ("", None)],
)
def test_the_times_that_squeue_writes_are_read(text: str, seconds: int | None) -> None:
    assert read_time_left(text) == seconds
