"""Taking over a database folder that another host has served: by the signs in it, on a clock of the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo.errors import StorageError
from hpo.launch.server import serve as serve_module
from hpo.launch.server.serve import (
    BEAT_SECONDS,
    LOST_SECONDS,
    SILENT_SECONDS,
    FolderLostError,
    Hold,
    Server,
    check_left,
    read_server,
    stop_server,
)

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
        monkeypatch.setattr(serve_module, "time", SimpleNamespace(sleep=clock.sleep, monotonic=clock.monotonic))
        check_left(folder, ELSEWHERE, take_over=True)
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


def test_a_server_whose_heartbeats_cannot_be_written_ends_before_others_may_take_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(lambda _: None)
    monkeypatch.setattr(serve_module, "time", SimpleNamespace(sleep=clock.sleep, monotonic=clock.monotonic))
    hold = Hold(tmp_path / "not there")
    clock.sleep(LOST_SECONDS - 1)
    hold.renew()
    hold.check()
    clock.sleep(2)
    with pytest.raises(FolderLostError):
        hold.check()
    assert LOST_SECONDS + BEAT_SECONDS + serve_module.STOP_SECONDS < SILENT_SECONDS


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
