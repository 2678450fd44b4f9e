"""Streams and surroundings that a shell gives a command: closed, full, unread, in another encoding, without a home."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.cli.common import print_json
from hpo.cli.streams import prepare_streams
from tests.cli.run import hpo_here

REPOSITORY = Path(__file__).parents[2]


def in_shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash, in which $HPO is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env={**os.environ, "HPO": f"{sys.executable} -m hpo", "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of one study."""
    folder = tmp_path_factory.mktemp("study")
    assert hpo_here("launch", "--dataset", "digits", "--on", "none", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def studied(study: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$HPO status digits >&-", 0),
        ("$HPO status digits <&- >&- 2>&-", 0),
        pytest.param("$HPO status digits 2>/dev/full", 0, marks=pytest.mark.linux),
        pytest.param("$HPO status nothing 2>/dev/full", 6, marks=pytest.mark.linux),
        ("$HPO settings | head -1; exit ${PIPESTATUS[0]}", 0),
        ("$HPO settings --json | true; exit ${PIPESTATUS[0]}", 0),
        pytest.param("$HPO status digits >/dev/full", 9, marks=pytest.mark.linux),
        ("env -u HOME $HPO status digits", 0),
        ("mkdir gone; cd gone; rmdir ../gone; $HPO status digits", 2),
        ("mkdir gone; cd gone; rmdir ../gone; $HPO --help", 0),
        ("$HPO status $'\\xff'", 2),
        ("HPO_DATA_DIR=$'\\xff' $HPO data list", 2),
        ("mkdir $'\\xff'; cd $'\\xff'; $HPO status digits", 5),
        ("printf '\\xff' | $HPO status digits --storage -", 5),
        ("$HPO status digits --storage - <&-", 5),
        ("PYTHONIOENCODING=ascii $HPO status digits", 0),
        ("PYTHONIOENCODING=latin1 $HPO trials digits", 0),
        ("COLUMNS=0 $HPO status digits", 0),
    ],
)
def test_the_exit_code_is_the_documented_one(line: str, code: int, studied: Path) -> None:
    run = in_shell(line, studied)
    assert run.returncode == code, run.stderr.decode()
    assert b"Traceback" not in run.stderr


def test_json_is_whole_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"name": "é 日本 😀", "reason": "\x1b[2J \x9b \u202e \u2028 \x7f"}
    for encoding in ("utf-8", "latin1", "ascii"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        prepare_streams()
        print_json(value)
        stream.seek(0)
        printed = stream.read()
        assert json.loads(printed) == value
        assert not {"\x1b", "\x9b", "\u202e", "\x7f"} & set(printed)


def test_an_empty_file_is_no_interruption(tmp_path: Path) -> None:
    (tmp_path / "empty.npz").write_bytes(b"")
    run = hpo_here("predict", "model", "empty.npz", "--out", "scores.csv", cwd=tmp_path)
    assert run.returncode == 4
    assert "interrupted" not in run.stderr


@pytest.mark.parametrize("option", ["--data-dir", "--storage"])
def test_a_home_that_is_not_there_is_a_sentence(option: str, tmp_path: Path) -> None:
    given = {"--data-dir": "~nobody-of-this-name/x", "--storage": "sqlite:///~nobody-of-this-name/x"}[option]
    run = hpo_here("launch", "--dataset", "digits", "--on", "none", option, given, cwd=tmp_path)
    assert run.returncode == 2
    assert "~nobody-of-this-name" in run.stderr


@pytest.mark.parametrize("command", [["check"], ["db", "backup"], ["db", "restore"], ["predict", "m"]])
def test_a_path_of_any_length_is_a_sentence(command: list[str], tmp_path: Path) -> None:
    open_first = hpo_here("db", "init", cwd=tmp_path)
    assert open_first.returncode == 0
    extra = ["--out", "scores.csv"] if command[0] == "predict" else []
    for path in ("n" * 300, "n/" * 5000):
        run = hpo_here(*command, path, *extra, cwd=tmp_path)
        assert run.returncode in (2, 3, 4, 5, 9), run.stderr
        assert "Traceback" not in run.stderr


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    assert hpo_here("db", "init", cwd=tmp_path).returncode == 0
    os.mkfifo(tmp_path / "pipe")
    assert hpo_here("db", "backup", "pipe", cwd=tmp_path).returncode == 9
    assert (tmp_path / "pipe").is_fifo()


def test_what_sqlalchemy_logs_about_a_lost_connection_is_no_traceback_for_a_user() -> None:
    script = (
        "import logging; from hpo.cli.logs import log_to_stderr; log_to_stderr()\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.getLogger('sqlalchemy.pool').error('reset', exc_info=True)\n"
        "logging.getLogger('hpo.search').warning('said')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.split() == ["said"]
