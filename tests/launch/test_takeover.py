"""Taking over a database folder that another host has served: by the signs in it, on a clock of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.errors import StorageError
from hpo.launch.server import hold as hold_module
from hpo.launch.server import serve as serve_module
from hpo.launch.server.hold import (
    BEAT_SECONDS,
    LOST_SECONDS,
    SILENT_SECONDS,
    FolderLostError,
    Hold,
    Server,
    check_left,
    read_server,
)
from hpo.launch.server.serve import READY, serve, serve_in_background, stop_server
from hpo.search.queue import process_identity
from hpo.search.queue.process_identity import own_host, start_time
from tests.mention import unmentioned
from tests.wait import until

NFS_CACHE_SECONDS = 60.0
"""acregmax and acdirmax by default: nfs(5)."""

ELSEWHERE = Server("elsewhere", 1, 7)


def write(folder: Path, server: Server) -> None:
    (folder / "server.json").write_text(json.dumps(vars(server)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that another host has served, with what its PostgreSQL left behind."""
    write(tmp_path, ELSEWHERE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").touch()
    return tmp_path


class Clock:
    """Time that passes only while somebody sleeps. happens: called with the seconds that have passed."""

    def __init__(self, happens: Callable[[float], None]) -> None:
        self.now, self._happens = 0.0, happens

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._happens(self.now)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], None]], float]:
    """Watches the folder while something happens; returns the seconds that it took."""

    def run(happens: Callable[[float], None]) -> float:
        clock = Clock(happens)
        monkeypatch.setattr(hold_module, "time", SimpleNamespace(sleep=clock.sleep, monotonic=clock.monotonic))
        with hold_module.the_only_one(folder, take_over=True):
            return clock.now

    return run


Watch = Callable[[Callable[[float], None]], float]


def test_a_silent_host_is_watched_for_longer_than_nfs_answers_from_its_caches(folder: Path, watch: Watch) -> None:
    assert watch(lambda _: None) > 2 * NFS_CACHE_SECONDS + BEAT_SECONDS
    assert not (folder / "data" / "postmaster.pid").exists()


def test_silence_alone_is_no_reason_to_take_a_folder_over(folder: Path) -> None:
    with pytest.raises(StorageError, match="--take-over"):
        check_left(folder, ELSEWHERE)
    assert (folder / "data" / "postmaster.pid").exists()


def test_a_server_in_a_container_with_the_name_and_the_pid_of_this_process_is_not_taken_for_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as inside:
        inside.setattr(process_identity, "_NAMESPACE_OF_HOST", 1)
        in_container = hold_module.this_server()
    write(folder, in_container)
    with pytest.raises(StorageError):
        check_left(folder, in_container)
    with pytest.raises(StorageError):
        stop_server(folder)


def test_a_server_whose_folder_was_taken_over_gives_it_up_and_leaves_the_other_alone(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    hold.renew()
    hold.check()
    write(tmp_path, ELSEWHERE)
    hold.renew()
    with pytest.raises(FolderLostError, match=ELSEWHERE.host):
        hold.check()
    hold.give_up()
    assert read_server(tmp_path) == ELSEWHERE


def test_a_server_whose_folder_is_taken_over_while_it_starts_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_module, "START_SECONDS", 1.0)
    hold = Hold(tmp_path)
    write(tmp_path, ELSEWHERE)
    hold.renew()
    cluster: Any = SimpleNamespace(folder=tmp_path, data=tmp_path / "data")
    process: Any = SimpleNamespace(pid=1, poll=lambda: None)
    with pytest.raises(FolderLostError):
        serve_module._wait_ready(cluster, process, threading.Event(), hold)


def test_a_server_whose_heartbeats_cannot_be_written_ends_before_others_may_take_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(lambda _: None)
    monkeypatch.setattr(hold_module, "time", SimpleNamespace(sleep=clock.sleep, monotonic=clock.monotonic))
    hold = Hold(tmp_path / "not there")
    clock.sleep(LOST_SECONDS - 1)
    hold.renew()
    hold.check()
    clock.sleep(2)
    with pytest.raises(FolderLostError):
        hold.check()
    assert LOST_SECONDS + BEAT_SECONDS + serve_module.STOP_SECONDS < SILENT_SECONDS


def test_a_server_that_ends_leaves_one_alone_that_has_taken_its_folder_since_its_last_heartbeat(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    hold.claim(None)
    write(tmp_path, ELSEWHERE)
    hold.give_up()
    assert read_server(tmp_path) == ELSEWHERE


@pytest.mark.parametrize("left", [ELSEWHERE, Server(own_host(), 0, 7, "long ago")])
def test_a_folder_that_another_takes_first_is_left_to_it(
    folder: Path, left: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Server("another", 1, 0)
    write(folder, left)
    monkeypatch.setattr(hold_module, "check_left", lambda *_, **__: write(folder, other))
    with pytest.raises(StorageError) as caught:
        serve(folder, take_over=True)
    assert unmentioned(caught.value, other.host, folder / "address") == []
    assert read_server(folder) == other
    assert (folder / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("left", [ELSEWHERE, None])
def test_of_many_that_take_a_folder_at_once_one_serves_it(
    folder: Path, left: Server | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 8
    at_once, starting = threading.Barrier(many), threading.local()
    serving: list[Path] = []
    refused: list[StorageError] = []

    def look(here: Path) -> Server | None:
        if getattr(starting, "looks", False):
            starting.looks = False
            at_once.wait()
            return left
        return read_server(here)

    def prepare(served: Path, **_: object) -> None:
        serving.append(served)
        until(lambda: len(serving) + len(refused) == many)
        raise StorageError("over")

    def start() -> None:
        starting.looks = True
        try:
            serve(folder, take_over=True)
        except StorageError as error:
            refused.append(error)

    if left is None:
        (folder / "server.json").unlink()
    monkeypatch.setattr(hold_module, "read_server", look)
    monkeypatch.setattr(hold_module, "check_left", lambda *_, **__: None)
    monkeypatch.setattr(serve_module, "prepare", prepare)
    threads = [threading.Thread(target=start) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert serving == [folder]
    assert sorted(path.name for path in folder.iterdir()) == ["data"]


def test_a_heartbeat_that_nfs_calls_failed_and_has_written_is_not_that_of_another_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a rename whose answer was lost, and which the client sends again."""
    write_server = hold_module._write_server

    def fails(folder: Path, server: Server) -> None:
        write_server(folder, server)
        raise FileNotFoundError

    hold = Hold(folder)
    hold.claim(ELSEWHERE)
    monkeypatch.setattr(hold_module, "_write_server", fails)
    hold.renew()
    monkeypatch.setattr(hold_module, "_write_server", write_server)
    hold.renew()
    hold.check()
    hold.give_up()
    assert read_server(folder) is None


def test_a_claim_that_was_cut_off_is_reported_with_the_file_to_remove(folder: Path) -> None:
    (folder / "server.claim").touch()
    with pytest.raises(StorageError) as caught:
        Hold(folder).claim(ELSEWHERE)
    assert unmentioned(caught.value, folder / "server.claim") == []
    assert read_server(folder) == ELSEWHERE


def test_a_claim_of_a_process_of_this_host_that_was_killed_is_dropped(folder: Path) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    program = "from pathlib import Path; from hpo.launch.server import hold; "
    program += f"hold._create_claim(Path({str(folder / 'server.claim')!r})); {kill}"
    subprocess.run([sys.executable, "-c", program], check=False)
    assert (folder / "server.claim").is_symlink()
    Hold(folder).claim(ELSEWHERE)
    assert read_server(folder) == hold_module.this_server()
    assert not (folder / "server.claim").is_symlink()


@pytest.mark.parametrize("host", ["another", None])
def test_a_claim_of_a_process_that_may_live_stays(folder: Path, host: str | None) -> None:
    lock = folder / "server.claim"
    mine = hold_module.this_server()
    lock.symlink_to(json.dumps([host or mine.host, mine.process, mine.started]))
    with pytest.raises(StorageError):
        Hold(folder).claim(ELSEWHERE)
    assert lock.is_symlink()
    assert read_server(folder) == ELSEWHERE


def test_a_start_in_the_background_neither_reads_nor_changes_the_log_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, program = tmp_path / "database", tmp_path / "python"
    # Its arguments are those of `python -m hpo db serve FOLDER`.
    program.write_text(f'#!/bin/sh\nfor last; do :; done\necho "{READY}" >> "$last/serve.log"\necho refused\nexit 5\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(StorageError, match="refused"):
        serve_in_background(folder, listen=None, port=None)
    assert [path.name for path in folder.iterdir()] == ["serve.log"]
    assert (folder / "serve.log").read_text() == f"{READY}\n"


def test_a_sign_that_nfs_shows_late_is_in_time(folder: Path, watch: Watch) -> None:
    def happens(now: float) -> None:
        if now > 2 * NFS_CACHE_SECONDS:
            write(folder, Server("elsewhere", 1, 8))

    with pytest.raises(StorageError):
        watch(happens)
    assert (folder / "data" / "postmaster.pid").exists()


def test_a_host_that_ends_its_server_meanwhile_is_not_waited_for(folder: Path, watch: Watch) -> None:
    assert watch(lambda _: (folder / "server.json").unlink()) < BEAT_SECONDS
    assert (folder / "data" / "postmaster.pid").exists()


def test_a_sign_that_cannot_be_read_is_no_silence(folder: Path, watch: Watch) -> None:
    def becomes_unreadable(now: float) -> None:
        if now > SILENT_SECONDS / 2 and (folder / "server.json").is_file():
            (folder / "server.json").unlink()
            (folder / "server.json").mkdir()

    with pytest.raises(StorageError):
        watch(becomes_unreadable)
    assert (folder / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("ask", [read_server, stop_server])
def test_whoever_asks_for_a_server_that_cannot_be_read_hears_so(folder: Path, ask: Callable[[Path], object]) -> None:
    (folder / "server.json").unlink()
    (folder / "server.json").mkdir()
    with pytest.raises(StorageError):
        ask(folder)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is ended."""
    with subprocess.Popen(["sleep", "3600"]) as running:
        yield running
        running.kill()


def test_a_process_that_got_the_pid_of_a_server_that_was_killed_is_not_taken_for_it(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    server = Server(own_host(), process.pid, 7, start_time(process.pid))
    with pytest.raises(StorageError, match=str(process.pid)):
        check_left(tmp_path, server)
    killed = Server(own_host(), process.pid, 7, "long ago")
    write(tmp_path, killed)
    check_left(tmp_path, killed)
    assert not stop_server(tmp_path)
    assert process.poll() is None


def test_a_server_that_an_earlier_version_wrote_down_is_found_by_its_pid(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"host": own_host(), "process": process.pid, "beat": 7}))
    with pytest.raises(StorageError, match=str(process.pid)):
        check_left(tmp_path, read_server(tmp_path))


def test_a_server_that_ends_just_before_it_is_stopped_has_stopped(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = os.kill

    def ended_before(number: int, _: int) -> None:
        kill(number, signal.SIGKILL)
        process.wait()
        kill(number, 0)

    write(tmp_path, Server(own_host(), process.pid, 7))
    monkeypatch.setattr(os, "kill", ended_before)
    assert stop_server(tmp_path)


def test_a_server_of_another_user_is_reported(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError

    write(tmp_path, Server(own_host(), process.pid, 7))
    monkeypatch.setattr(os, "kill", refused)
    with pytest.raises(StorageError) as caught:
        stop_server(tmp_path)
    assert unmentioned(caught.value, process.pid, tmp_path / "server.json") == []
