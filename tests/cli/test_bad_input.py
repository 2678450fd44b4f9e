"""What a user can do wrong: one clear sentence on stderr, a documented exit code, no traceback, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import hpo

NOBODY_LISTENS = "postgresql+psycopg://someone:s3cret-w0rd@127.0.0.1:9/db"


def refused(run: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert "s3cret" not in run.stderr
    assert run.stdout == ""
    for word in words:
        assert word in run.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["launch"], 2, ["give --dataset NAME or --study-file FILE"]),
        (["launch", "--dataset", "brest"], 2, ["brest is no dataset; did you mean breast?"]),
        (["launch", "--dataset", "digits", "--trials", "0"], 2, ["--trials"]),
        (["launch", "--dataset", "digits", "--workers", "0"], 2, ["--workers"]),
        (["launch", "--study-file", "none.toml"], 3, ["none.toml", "cannot be read"]),
        (["launch", "--dataset", "digits", "--set", "space.margn.low=0.5"], 3, ["did you mean margin?"]),
        (["launch", "--dataset", "digits", "--set", "space.margin.low=7"], 3, ["lies outside 0 to 1"]),
        (["launch", "--dataset", "digits", "--set", "budget.epochs"], 2, ["section.key=value"]),
        (["launch", "--dataset", "breast", "--data-dir", "empty"], 4, ["breastmnist.npz", "hpo data fetch breast"]),
        (["launch", "--dataset", "digits", "--storage", "no url"], 5, ["no database address", "sqlite:///FILE"]),
        (["launch", "--dataset", "digits", "--storage", "orakel://x/y"], 5, ["orakel"]),
        (["launch", "--dataset", "digits", "--storage", NOBODY_LISTENS], 5, ["127.0.0.1"]),
        (["launch", "--dataset", "digits", "--storage", "sqlite:////nowhere/at/all.db"], 9, ["/nowhere/at"]),
        (["launch", "--dataset", "digits", "--device", "cuda:7"], 8, ["cuda:7"]),
        (["worker", "nothing"], 5, ["hpo.sqlite3"]),
        (["status", "nothing"], 5, ["hpo.sqlite3"]),
        (["data", "verify", "adrenal3d", "--data-dir", "empty"], 4, ["adrenalmnist3d.npz", "hpo data fetch adrenal3d"]),
        (["data", "fetch", "brest"], 2, ["did you mean breast?"]),
        (["lunch"], 2, ["lunch"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else str(value),
)
def test_a_wrong_call_is_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    refused(hpo(*arguments, cwd=tmp_path), code, *words)
    assert [path.name for path in tmp_path.iterdir() if path.name != "empty"] in ([], ["hpo.sqlite3"])


def test_a_missing_driver_is_named_with_its_extra(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "psycopg.py").write_text("raise ModuleNotFoundError('No module named psycopg')\n")
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    run = hpo("status", "a", "--storage", "postgresql://u@h/d", cwd=tmp_path, PYTHONPATH=path)
    refused(run, 5, "psycopg", "hpo-dam[postgres]")


def test_every_fault_of_every_file_is_told_by_check(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('dataset = "brest"\n[space.margn]\nlow = 1\n')
    (tmp_path / "b.toml").write_text('dataset = "breast"\n')
    run = hpo("check", "a.toml", "b.toml", cwd=tmp_path)
    assert run.returncode == 3
    assert "a.toml: 2 problems" in run.stderr
    assert "did you mean breast?" in run.stderr
    assert "did you mean margin?" in run.stderr
    assert "b.toml: ok" in run.stdout


@pytest.mark.slow
def test_a_study_that_exists_with_another_spec_is_refused_with_the_difference(tmp_path: Path) -> None:
    first = ["launch", "--dataset", "digits", "--trials", "1", "--set", "budget.epochs=1"]
    assert hpo(*first, cwd=tmp_path).returncode == 0
    second = hpo(*first, "--set", "space.margin.low=0.5", cwd=tmp_path)
    refused(second, 7, "space.margin.low: stored 0.1, asked 0.5", "--name")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_a_sentence(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused(hpo("launch", "--dataset", "digits", "--storage", f"sqlite:///{closed}/a.db", cwd=tmp_path), 5, "closed")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_is_a_sentence(unbuffered: str) -> None:
    study = Path(__file__).parents[2] / "studies" / "breast.toml"
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "hpo", "check", str(study), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert run.returncode == 9
    assert run.stderr == "hpo: the disk is full (no file named); free some space\n"
