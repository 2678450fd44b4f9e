"""Worker processes on this machine: who gets which device, and that none is left behind."""

from __future__ import annotations

import shutil
import signal
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from hpo.errors import OutputError, StorageError
from hpo.launch.backends import local
from hpo.launch.backends.local import LocalPlan, LocalWorkers, WorkerSlot, watch, worker_slots
from hpo.search.queue import process_identity
from hpo.testing.trainer import make_spec
from hpo.training.machine.limits import usable_cores
from tests.mention import unmentioned
from tests.wait import until


def test_one_worker_on_a_cpu_has_all_cores() -> None:
    assert worker_slots(None, "auto", gpus=0) == (WorkerSlot("auto", usable_cores(), sharing=1),)


def test_by_default_there_is_one_worker_for_each_gpu() -> None:
    assert [slot.device for slot in worker_slots(None, "auto", gpus=3)] == ["cuda:0", "cuda:1", "cuda:2"]


def test_more_workers_than_gpus_share_them_in_turn() -> None:
    assert [slot.device for slot in worker_slots(4, "auto", gpus=2)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


def test_a_number_for_each_device_is_multiplied_by_the_gpus_and_counts_on_a_machine_without() -> None:
    assert [slot.device for slot in worker_slots(None, "auto", gpus=2, per_device=2)] == ["cuda:0", "cuda:1"] * 2
    assert [slot.device for slot in worker_slots(None, "auto", gpus=0, per_device=3)] == ["auto"] * 3
    assert [slot.device for slot in worker_slots(None, "cuda:1", gpus=4, per_device=2)] == ["cuda:1"] * 2


def test_each_worker_knows_how_many_share_its_device() -> None:
    assert [slot.sharing for slot in worker_slots(4, "auto", gpus=3)] == [2, 1, 1, 2]
    assert [slot.sharing for slot in worker_slots(3, "cpu", gpus=1)] == [3, 3, 3]


def test_cores_are_those_that_a_quota_leaves_and_all_are_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: 6)
    assert [slot.threads for slot in worker_slots(4, "cpu", gpus=0)] == [2, 2, 1, 1]
    assert {slot.threads for slot in worker_slots(2, "cpu", gpus=0)} == {3}


def test_a_named_device_is_kept_and_cores_are_shared() -> None:
    slots = worker_slots(64, "cpu", gpus=2)
    assert {slot.device for slot in slots} == {"cpu"}
    assert {slot.threads for slot in slots} == {1}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the interpreter, so that a "worker" does what a test wants."""
    program = tmp_path / "worker"
    monkeypatch.setattr(sys, "executable", str(program))
    return program


def started(program: Path, script: str, count: int = 1, grace: float = 60.0) -> LocalWorkers:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    slots = tuple(WorkerSlot("cpu", 1) for _ in range(count))
    return LocalWorkers(LocalPlan("s", "sqlite:///s.db", "data", "kept", slots, program.parent / "logs", grace))


def test_launches_of_equal_pids_in_two_containers_with_the_name_of_their_host_share_no_worker_and_no_log(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_host = started(stand_in, "exit 0")
    # As in a container: the namespace of this process is not that of the host.
    monkeypatch.setattr(process_identity, "_NAMESPACE_OF_HOST", 1)
    in_container = started(stand_in, "exit 0")
    until(lambda: not on_host.running() + in_container.running())
    assert not on_host.names & in_container.names
    assert len(list((stand_in.parent / "logs").iterdir())) == 2


def until_ready(program: Path, count: int) -> None:
    """Wait until so many workers have set their traps and written so."""
    ready = Path(f"{program}.ready")
    until(lambda: ready.exists() and len(ready.read_text().splitlines()) == count)


def test_the_address_reaches_a_worker_by_its_standard_input_and_by_nothing_that_others_can_list(stand_in: Path) -> None:
    workers = started(stand_in, 'echo "arguments $*"; read address; echo "input $address"; env')
    assert watch(workers, lambda: None, seconds=0.05) == []
    (log,) = (stand_in.parent / "logs").iterdir()
    arguments, given, *environment = log.read_text().splitlines()
    assert given == "input sqlite:///s.db"
    assert not any("sqlite:///s.db" in line for line in [arguments, *environment])
    assert arguments.endswith(" -- s")
    assert "--threads 1 --sharing 1" in arguments
    assert "--storage - --data-dir data --checkpoint-dir kept" in arguments


def test_a_worker_that_fails_is_reported_with_its_code_and_the_end_of_its_log(stand_in: Path) -> None:
    failures = watch(started(stand_in, "echo what went wrong; exit 4", count=2), lambda: None, seconds=0.05)
    assert [end.code for end in failures] == [4, 4]
    assert failures[0].last_lines() == "what went wrong"


def test_a_worker_that_was_killed_is_started_anew_and_its_log_says_so(stand_in: Path) -> None:
    script = 'test -e "$0.once" && exit 0; touch "$0.once"; kill -9 $$'
    assert watch(started(stand_in, script), lambda: None, seconds=0.05) == []
    (log,) = (stand_in.parent / "logs").iterdir()
    (line,) = log.read_text().splitlines()
    assert unmentioned(line, "hpo launch", 9) == []


def test_logs_that_were_removed_meanwhile_end_no_launch(stand_in: Path) -> None:
    """A worker that was killed is started anew, and one that fails is reported."""
    count = stand_in.parent / "count"
    workers = started(stand_in, f"touch {count}; [ $(wc -l < {count}) = 1 ] && exit 3; echo >> {count}; kill -9 $$")
    folder = workers.log_of("any").parent
    until(lambda: not workers.running())
    shutil.rmtree(folder)
    assert [end.code for end in watch(workers, lambda: None, 0.01)] == [3]
    (failed,) = workers.failures()
    assert failed.log.exists()
    shutil.rmtree(folder)
    assert failed.last_lines() != ""


def test_a_worker_that_is_killed_each_time_stays_dead_in_the_end(stand_in: Path) -> None:
    (end,) = watch(started(stand_in, 'echo life >> "$0.lives"; kill -9 $$'), lambda: None, seconds=0.01)
    assert end.code == -9
    assert Path(f"{stand_in}.lives").read_text().count("life") == local.MAX_KILLS


def test_workers_go_on_while_the_view_cannot_be_read(
    stand_in: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "QUIET_SECONDS", 0.0)
    looks = []

    def look() -> None:
        looks.append(1)
        if len(looks) <= 5:
            raise StorageError("the database of the test is away")
        Path(f"{stand_in}.over").touch()

    workers = started(stand_in, 'until test -e "$0.over"; do sleep 0.02; done')
    assert watch(workers, look, seconds=0.01) == []
    assert len(looks) > 5
    assert [("away" in line, "again" in line) for line in log] == [(True, False), (False, True)]


def test_workers_are_asked_to_end_when_their_time_is_over(stand_in: Path, log: list[str]) -> None:
    workers = started(stand_in, 'trap "exit 130" TERM; echo ready >> "$0.ready"; while :; do sleep 0.05; done', count=2)
    until_ready(stand_in, 2)
    looks = []
    ends = watch(workers, lambda: looks.append(1), seconds=0.05, until=time.monotonic() + 0.3)
    assert [end.code for end in ends] == [130, 130]
    assert looks
    assert "the time is over" in log


def test_an_interrupt_stops_the_workers_before_it_goes_on(stand_in: Path) -> None:
    workers = started(stand_in, 'trap "exit 130" TERM; echo ready >> "$0.ready"; while :; do sleep 0.05; done', count=2)

    def interrupt() -> None:
        until_ready(stand_in, 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(workers, interrupt, seconds=0.05)
    assert workers.running() == 0
    assert {end.code for end in workers.failures()} == {130}


def test_a_worker_that_does_not_stop_is_killed(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = started(stand_in, 'trap "" TERM; echo ready >> "$0.ready"; while :; do sleep 0.05; done', grace=0.1)
    until_ready(stand_in, 1)
    workers.stop()
    assert workers.running() == 0
    assert [end.code for end in workers.failures()] == [-9]


def test_a_second_interrupt_kills_all_workers_at_once(stand_in: Path, log: list[str]) -> None:
    script = 'trap "echo again >> \\"$0.ready\\"" TERM; echo ready >> "$0.ready"; while :; do sleep 0.05; done'
    workers = started(stand_in, script, count=2)
    until_ready(stand_in, 2)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt_while_it_waits() -> None:
        until_ready(stand_in, 4)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt_while_it_waits)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        workers.stop()
    thread.join()
    assert workers.running() == 0
    assert [end.code for end in workers.failures()] == [-9, -9]
    assert unmentioned(log[0], 2, 60) == []


def test_a_log_folder_that_cannot_be_made_is_a_sentence(stand_in: Path) -> None:
    (stand_in.parent / "logs").write_text("a file")
    with pytest.raises(OutputError) as caught:
        started(stand_in, "exit 0")
    assert unmentioned(caught.value, stand_in.parent / "logs", "--log-dir") == []


def test_a_worker_is_told_its_reporters(stand_in: Path) -> None:
    stand_in.write_text('#!/bin/sh\necho "arguments $*"\n')
    stand_in.chmod(0o700)
    logs = stand_in.parent / "logs"
    plan = LocalPlan("s", "sqlite:///s.db", "data", None, (WorkerSlot("cpu", 1),), logs, reporters=("a=/x y", "b"))
    assert watch(LocalWorkers(plan), lambda: None, seconds=0.05) == []
    (log,) = logs.iterdir()
    assert log.read_text().strip().endswith("--reporter a=/x y --reporter b -- s")


def test_a_folder_that_can_hold_no_checkpoints_is_told_before_anything_is_trained(
    tmp_path: Path, log: list[str]
) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "new", tmp_path, "none"):
        local.warn_of_checkpoints(make_spec(1), str(folder))
    assert log == []
    local.warn_of_checkpoints(make_spec(1), str(tmp_path / "file" / "kept"))
    (line,) = log
    assert unmentioned(line, "--checkpoint-dir", tmp_path / "file") == []
