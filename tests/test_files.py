"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hpo.files import atomic_write, file_type, fitting


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_keeps_the_old_file_and_removes_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_half_way() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_private_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o644)
    with atomic_write(path, 0o600) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_left_by_a_dead_process_of_the_same_number_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f"file.{os.getpid()}.part").write_text("left over, and longer than what follows")
    with atomic_write(tmp_path / "file") as part:
        part.write_text("new")
    assert (tmp_path / "file").read_text() == "new"


def test_the_content_is_synced_before_the_file_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    sync, replace = os.fsync, Path.replace

    def spy_sync(number: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        sync(number)

    def spy_replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    with atomic_write(tmp_path / "file") as part:
        part.write_text("new")
    assert steps == ["file", "rename", "folder"]


def test_what_is_at_a_path_is_told_by_one_look(tmp_path: Path) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    assert file_type(file) is None
    file.touch()
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(file)
    kinds = [file_type(path) for path in (tmp_path, file, tmp_path / "link", pipe, file / "below a file")]
    assert kinds == [stat.S_IFDIR, stat.S_IFREG, stat.S_IFREG, stat.S_IFIFO, None]


@pytest.mark.parametrize("name", ["a" * 300, "名" * 100, "é" * 200], ids=["1", "3", "2"])
def test_a_name_that_is_too_long_for_a_file_system_is_cut_and_stays_different(name: str, tmp_path: Path) -> None:
    found = fitting(name)
    (tmp_path / found).mkdir()
    assert found.startswith(name[:80])
    assert fitting(f"{name}2") != found
    assert fitting(name[:80]) == name[:80]
