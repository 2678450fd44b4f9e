"""Files of a running trial: whole or absent, newest first, bounded in number, and never in the way of the trial."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpo.training.loop.checkpoint import Checkpoint, remove_checkpoints, trials_with_checkpoints
from tests.forked import PROCESSES
from tests.mention import unmentioned
from tests.training.saving import save_for_ever


def save(checkpoint: Checkpoint, value: float) -> bool:
    return checkpoint.save({"epoch": 3, "value": value}, [{"weights": torch.full((9,), value)} for _ in "ab"])


def load(checkpoint: Checkpoint) -> float | None:
    """The value that was saved, found alike in the trial's part and in each of two folds; None if nothing is found."""
    found = checkpoint.load()
    if found is None:
        return None
    state, folds = found
    values = [fold["weights"].unique().item() for fold in folds]
    assert values == [state["value"]] * 2
    return float(state["value"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_owners_alone_and_nothing_else_lies_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "checkpoints"
    assert save(Checkpoint(folder, 7, 1, "same"), 1.0)
    assert names(folder) == ["trial-00007.f1.pt"]
    assert (folder / "trial-00007.f1.pt").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0


def test_a_worker_reads_the_newest_fence_up_to_its_own(tmp_path: Path) -> None:
    for fence in (10, 9, 3):
        (tmp_path / "made").mkdir(exist_ok=True)
        save(Checkpoint(tmp_path / "made", 7, fence, "same"), float(fence))
        (tmp_path / "made" / f"trial-00007.f{fence}.pt").rename(tmp_path / f"trial-00007.f{fence}.pt")
    assert [load(Checkpoint(tmp_path, 7, fence, "same")) for fence in (11, 10, 9, 8, 2)] == [10, 10, 9, 3, None]
    assert load(Checkpoint(tmp_path, 8, 11, "same")) is None
    assert load(Checkpoint(tmp_path / "missing", 7, 1, "same")) is None


def test_older_files_go_when_the_first_own_is_written_and_a_successors_never(tmp_path: Path) -> None:
    for fence in (1, 3):
        save(Checkpoint(tmp_path, 7, fence, "same"), float(fence))
    save(Checkpoint(tmp_path, 6, 1, "same"), 6.0)
    woken = Checkpoint(tmp_path, 7, 2, "same")
    save(woken, 2.0), save(woken, 2.5)
    assert names(tmp_path) == ["trial-00006.f1.pt", "trial-00007.f2.pt", "trial-00007.f3.pt"]
    assert load(Checkpoint(tmp_path, 7, 4, "same")) == 3.0
    save(Checkpoint(tmp_path, 7, 4, "same"), 4.0)
    assert names(tmp_path) == ["trial-00006.f1.pt", "trial-00007.f4.pt"]


def test_a_file_that_its_worker_replaces_while_its_successor_reads_it_is_read_whole(tmp_path: Path) -> None:
    late = Checkpoint(tmp_path, 7, 1, "same")
    save(late, 1.0)
    found = Checkpoint(tmp_path, 7, 2, "same").load()
    assert found is not None
    state, folds = found
    values = [state["value"]]
    for fold in folds:
        values.append(fold["weights"].unique().item())
        save(late, 2.0)
    assert values == [1.0] * 3
    assert names(tmp_path) == ["trial-00007.f1.pt"]
    assert load(Checkpoint(tmp_path, 7, 2, "same")) == 2.0


def test_reading_a_file_in_part_leaves_nothing_beside_it(tmp_path: Path) -> None:
    save(Checkpoint(tmp_path, 7, 1, "same"), 1.0)
    found = Checkpoint(tmp_path, 7, 2, "same").load()
    assert found is not None
    assert next(found[1])["weights"].unique().item() == 1.0
    del found
    assert names(tmp_path) == ["trial-00007.f1.pt"]


def test_a_file_is_read_where_it_can_have_no_second_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("hpo.training.loop.checkpoint.Path.hardlink_to", refuse)
    save(Checkpoint(tmp_path, 7, 1, "same"), 1.0)
    assert load(Checkpoint(tmp_path, 7, 2, "same")) == 1.0


def test_a_file_of_another_identity_is_passed_over_and_logged(tmp_path: Path, log: list[str]) -> None:
    save(Checkpoint(tmp_path, 7, 2, "other"), 2.0)
    assert load(Checkpoint(tmp_path, 7, 3, "same")) is None
    (line,) = log
    assert unmentioned(line, "trial 7", tmp_path / "trial-00007.f2.pt") == []
    assert load(Checkpoint(tmp_path, 7, 3, "other")) == 2.0, "the file itself is whole"


def cut_in_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_a_flipped_bit(content: bytes) -> bytes:
    """One bit of a weight, which PyTorch would load silently."""
    place = content.index(torch.full((9,), 2.0).numpy().tobytes())
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [cut_in_half, with_a_flipped_bit, lambda _: b"", lambda _: b"no zip at all" * 99])
def test_a_damaged_file_is_passed_over_for_the_one_before(tmp_path: Path, damage: Any, log: list[str]) -> None:
    save(Checkpoint(tmp_path, 7, 2, "same"), 2.0)
    newest = tmp_path / "trial-00007.f2.pt"
    damaged = damage(newest.read_bytes())
    newest.unlink()
    save(Checkpoint(tmp_path, 7, 1, "same"), 1.0)
    newest.write_bytes(damaged)
    assert load(Checkpoint(tmp_path, 7, 3, "same")) == 1.0
    (line,) = log
    assert unmentioned(line, "trial 7", newest) == []
    assert "\n" not in line


def test_a_file_cannot_bring_code(tmp_path: Path, log: list[str]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": 1, "identity": "same", "trial": {}, "folds": [Trap()]}, tmp_path / "trial-00007.f1.pt")
    assert load(Checkpoint(tmp_path, 7, 1, "same")) is None
    assert len(log) == 1
    assert not (tmp_path / "sprung").exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that refuses to write, as a full one does, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_is_reported_once_and_leaves_the_file_of_before(tmp_path: Path, log: list[str]) -> None:
    checkpoint = Checkpoint(tmp_path, 7, 1, "same")
    save(checkpoint, 1.0)
    with files_of_at_most(10_000):
        for _ in range(2):
            assert not checkpoint.save({"value": 2.0}, [{"weights": torch.zeros(100_000)}])
    assert names(tmp_path) == ["trial-00007.f1.pt"]
    assert load(checkpoint) == 1.0
    (line,) = log
    assert unmentioned(line, "trial 7", checkpoint.path, os.strerror(errno.EFBIG)) == []
    assert save(checkpoint, 3.0)
    assert load(checkpoint) == 3.0


def test_without_space_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    monkeypatch.setattr("hpo.training.loop.checkpoint.shutil.disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    checkpoint = Checkpoint(tmp_path, 7, 1, "same")
    assert not checkpoint.save({}, [{"weights": torch.zeros(1_000_000)}])
    assert names(tmp_path) == []
    (line,) = log
    assert unmentioned(line, "trial 7", checkpoint.path, "8 MB", "5 MB") == []


def test_the_size_is_announced_once_and_a_disk_that_is_too_small_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    for trial in (1, 2):
        Checkpoint(tmp_path / "room", trial, 1, "identity").announce(928_000_000)
    assert [unmentioned(line, 928, tmp_path / "room") for line in log] == [[]]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_500_000_000))
    Checkpoint(tmp_path / "none", 1, 1, "identity").announce(928_000_000)
    assert unmentioned(log[-1], 928, 1500, "--checkpoint-dir") == []


def test_a_folder_that_cannot_be_made_costs_the_checkpoint_only(tmp_path: Path, log: list[str]) -> None:
    (tmp_path / "file").write_text("")
    assert not Checkpoint(tmp_path / "file" / "study", 7, 1, "same").save({}, [])
    assert len(log) == 1


def test_every_file_of_a_trial_goes_half_written_ones_too(tmp_path: Path) -> None:
    for fence in (1, 12):
        save(Checkpoint(tmp_path, 7, fence, "same"), 1.0)
    save(Checkpoint(tmp_path, 70, 1, "same"), 1.0)
    (tmp_path / "trial-00007.f13.pt.part").write_bytes(b"half")
    (tmp_path / "trial-123456.f1.pt.4711.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert trials_with_checkpoints(tmp_path) == {7, 70, 123456}
    assert Checkpoint(tmp_path, 7, 12, "same").exists()
    Checkpoint(tmp_path, 7, 1, "same").remove()
    assert not Checkpoint(tmp_path, 7, 12, "same").exists()
    remove_checkpoints(tmp_path, 123456)
    assert names(tmp_path) == ["notes.txt", "trial-00070.f1.pt"]
    assert trials_with_checkpoints(tmp_path / "missing") == set()


def test_what_was_left_half_written_is_neither_read_nor_in_the_way(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, 7, 1, "same")
    (tmp_path / f"trial-00007.f1.pt.{os.getpid()}.part").write_bytes(b"half")
    assert load(checkpoint) is None
    assert save(checkpoint, 1.0)
    assert names(tmp_path) == ["trial-00007.f1.pt"]


def test_a_file_is_due_by_the_clock_and_more_rarely_where_writing_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in 4 s at a share of 2 %: the next 200 s after it."""
    now = [100.0]
    monkeypatch.setattr("hpo.training.loop.checkpoint.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr("hpo.training.loop.checkpoint._write", lambda *_: now.__setitem__(0, now[0] + 4.0))
    checkpoint = Checkpoint(tmp_path, 7, 1, "same", seconds=60.0)
    due = []
    for passed in (59.0, 1.0, None, 60.0, 139.0, 1.0):
        if passed is None:
            save(checkpoint, 1.0)
        now[0] += passed or 0.0
        due.append(checkpoint.is_due())
    assert due == [False, True, False, False, False, True]


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    left: set[str] = set()
    for life in range(3):
        told, telling = PROCESSES.Pipe(duplex=False)
        child = PROCESSES.Process(target=save_for_ever, args=(tmp_path, telling), daemon=True)
        child.start()
        telling.close()
        try:
            written = [told.recv() for _ in range(3)][-1]
            time.sleep(0.013 * life)
        finally:
            child.kill()
            child.join()
        found = load(Checkpoint(tmp_path, 7, 2, "same"))
        assert found is not None
        assert found >= written
        assert set(names(tmp_path)) <= {"trial-00007.f1.pt", f"trial-00007.f1.pt.{child.pid}.part"} | left
        left = set(names(tmp_path)) - {"trial-00007.f1.pt"}


@contextmanager
def as_user(number: int, group: int) -> Iterator[None]:
    """Act as a user of a group; for root only."""
    before = os.umask(0o077)
    os.setegid(group)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="acting as two users needs root")
def test_users_of_a_group_resume_each_others_trials_in_a_folder_that_it_shares() -> None:
    group, shared = 54321, Path(tempfile.mkdtemp(prefix="hpo-test-shared-"))
    try:
        os.chown(shared, 0, group)
        shared.chmod(0o2770)
        folder = shared / "study-1234"
        with as_user(54322, group):
            assert save(Checkpoint(folder, 7, 1, "same"), 1.0)
        with as_user(54323, group):
            assert load(Checkpoint(folder, 7, 2, "same")) == 1.0
            assert save(Checkpoint(folder, 7, 2, "same"), 2.0)
        assert names(folder) == ["trial-00007.f2.pt"]
        with as_user(54322, group):
            assert load(Checkpoint(folder, 7, 3, "same")) == 2.0
            remove_checkpoints(folder, 7)
        assert names(folder) == []
    finally:
        shutil.rmtree(shared)


def test_a_folder_of_a_group_has_files_of_the_group_whatever_the_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        save(Checkpoint(tmp_path / "study", 7, 1, "same"), 1.0)
    finally:
        os.umask(before)
    assert (tmp_path / "study").stat().st_mode & 0o7777 == 0o2770
    assert (tmp_path / "study" / "trial-00007.f1.pt").stat().st_mode & 0o777 == 0o660


def test_copies_of_a_database_read_and_remove_no_files_of_each_other(tmp_path: Path) -> None:
    def attempt(fence: int, *names: str) -> Checkpoint:
        return Checkpoint(tmp_path, 7, fence, "same", attempts=names)

    save(attempt(1, "a" * 8), 1.0)
    assert [load(attempt(2, "a" * 8, name * 8)) for name in "bc"] == [1.0, 1.0], "made before the copy"
    save(attempt(2, "a" * 8, "b" * 8), 2.0)
    save(attempt(2, "a" * 8, "c" * 8), 3.0)
    assert names(tmp_path) == ["trial-00007.f2.bbbbbbbb.pt", "trial-00007.f2.cccccccc.pt"]
    assert load(attempt(3, "a" * 8, "b" * 8, "d" * 8)) == 2.0
    assert not attempt(3, "a" * 8, "d" * 8).exists()
    (tmp_path / "trial-00007.f2.bbbbbbbb.pt.4711.part").write_bytes(b"half")
    remove_checkpoints(tmp_path, 7, ["a" * 8, "b" * 8])
    assert names(tmp_path) == ["trial-00007.f2.cccccccc.pt"]


def test_files_from_before_attempts_had_names_are_read_and_removed(tmp_path: Path) -> None:
    save(Checkpoint(tmp_path, 7, 1, "same"), 1.0)
    after = Checkpoint(tmp_path, 7, 2, "same", attempts=("b" * 8,))
    assert load(after) == 1.0
    save(after, 2.0)
    assert names(tmp_path) == ["trial-00007.f2.bbbbbbbb.pt"]
