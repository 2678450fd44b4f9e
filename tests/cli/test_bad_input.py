"""What a user can do wrong: one clear sentence on stderr, a documented exit code, no traceback, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.study.files import builtin_study_file
from tests.cli.run import hpo, hpo_forked, hpo_here
from tests.mention import unmentioned

NOBODY_LISTENS = "postgresql+psycopg://someone:s3cret-w0rd@127.0.0.1:9/db"


def refused(run: subprocess.CompletedProcess[str], code: int, *facts: object) -> None:
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert "s3cret" not in run.stderr
    assert run.stdout == ""
    assert unmentioned(run.stderr, *facts) == []


@pytest.mark.parametrize(
    ("arguments", "code", "facts"),
    [
        (["launch"], 2, ["--dataset", "--study-file"]),
        (["launch", "digits", "--dataset", "digits"], 2, ["--dataset", "--study-file"]),
        (["launch", "--dataset", "brest"], 2, ["brest", "breast"]),
        (["launch", "brest"], 2, ["brest", "breast"]),
        (["launch", "none.toml"], 3, ["none.toml"]),
        (["launch", "--dataset", "digits", "--trials", "0"], 2, ["--trials"]),
        (["launch", "--dataset", "digits", "--workers", "0"], 2, ["--workers"]),
        (["launch", "--study-file", "none.toml"], 3, ["none.toml"]),
        (["launch", "--dataset", "digits", "--set", "space.margn.low=0.5"], 3, ["margn", "margin"]),
        (["launch", "--dataset", "digits", "--set", "space.margin.low=7"], 3, ["margin", 7, 0, 1]),
        (["launch", "--dataset", "digits", "--set", "budget.epochs"], 2, ["--set", "budget.epochs"]),
        (["launch", "--dataset", "breast", "--data-dir", "empty"], 4, ["breastmnist.npz", "--data-dir"]),
        (["launch", "--dataset", "digits", "--storage", "no url"], 5, ["--storage", "sqlite:///FILE"]),
        (["launch", "--dataset", "digits", "--on", "none", "--storage", "orakel://x/y"], 5, ["orakel"]),
        (["launch", "--dataset", "digits", "--on", "none", "--storage", NOBODY_LISTENS], 5, ["127.0.0.1"]),
        (["launch", "--dataset", "digits", "--on", "none", "--storage", "sqlite:////no/at/all.db"], 9, ["/no/at"]),
        pytest.param(["launch", "--dataset", "digits", "--device", "cuda:7"], 8, ["cuda:7"], marks=pytest.mark.slow),
        (["status", "nothing"], 5, ["hpo.sqlite3"]),
        (
            ["data", "verify", "adrenal3d", "--data-dir", "empty"],
            4,
            ["empty/adrenalmnist3d.npz", "`hpo data fetch adrenal3d`"],
        ),
        (["data", "fetch", "brest"], 2, ["brest", "breast"]),
        (["lunch"], 2, ["lunch", "launch"]),
        (["list"], 2, ["list", "hpo studies"]),
        (["data", "fetsh"], 2, ["hpo data fetch"]),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, list) else str(value),
)
def test_a_wrong_call_is_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, facts: list[object]
) -> None:
    (tmp_path / "empty").mkdir()
    away = {"HPO_DATA_URL": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    refused(hpo_here(*arguments, cwd=tmp_path, **away), code, *facts)
    assert [path.name for path in tmp_path.iterdir() if path.name != "empty"] in ([], ["hpo.sqlite3"])


@pytest.mark.slow
def test_a_worker_without_a_database_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    """In a process of its own, as each wrong call is: its exit code is what a shell gets."""
    refused(hpo_forked("worker", "nothing", cwd=tmp_path), 5, "hpo.sqlite3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_missing_driver_is_named_with_what_installs_it(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "psycopg.py").write_text("raise ModuleNotFoundError('No module named psycopg')\n")
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    run = hpo("status", "a", "--storage", "postgresql://u@h/d", cwd=tmp_path, PYTHONPATH=path)
    refused(run, 5, "pip install 'psycopg[binary]'")


def test_every_fault_of_every_file_is_told_by_check(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('dataset = "brest"\n[space.margn]\nlow = 1\n')
    (tmp_path / "b.toml").write_text('dataset = "breast"\n')
    run = hpo_here("check", "a.toml", "b.toml", cwd=tmp_path)
    assert run.returncode == 3
    assert unmentioned(run.stderr, "a.toml", 2, "brest", "breast", "margn", "margin") == []
    assert unmentioned(run.stdout, "b.toml", "breast") == []
    assert "a.toml" not in run.stdout
    found = json.loads(hpo_here("check", "a.toml", "b.toml", "--json", cwd=tmp_path).stdout)
    assert (list(found["ok"]), len(found["faults"])) == (["b.toml"], 1)


def test_a_study_that_exists_with_another_spec_is_refused_with_the_difference(tmp_path: Path) -> None:
    first = ["launch", "--dataset", "digits", "--trials", "1", "--set", "budget.epochs=1", "--on", "none"]
    assert hpo_here(*first, cwd=tmp_path).returncode == 0
    second = hpo_here(*first, "--set", "space.margin.low=0.5", cwd=tmp_path)
    refused(second, 7, "space.margin.low", 0.1, 0.5, "--name")


def test_a_study_goes_on_with_its_stored_settings_without_its_study_file(tmp_path: Path) -> None:
    """The shipped file may have changed since, or the user's own may be gone."""
    first = ["launch", "--dataset", "digits", "--trials", "2", "--set", "budget.epochs=1", "--on", "none"]
    assert hpo_here(*first, "--name", "mine", cwd=tmp_path).returncode == 0
    again = hpo_here("launch", "--name", "mine", "--trials", "5", "--on", "none", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(hpo_here("studies", "--json", cwd=tmp_path).stdout)[0]["trials"] == 5
    assert hpo_here("launch", "--name", "mine", "--on", "none", cwd=tmp_path).returncode == 0
    assert json.loads(hpo_here("studies", "--json", cwd=tmp_path).stdout)[0]["trials"] == 5
    refused(hpo_here("launch", "--name", "mine", "--trials", "4", "--on", "none", cwd=tmp_path), 7, "--fewer")
    refused(hpo_here("launch", "--name", "mine", "--set", "budget.epochs=2", "--on", "none", cwd=tmp_path), 2, "--set")
    refused(hpo_here("launch", "--name", "other", "--on", "none", cwd=tmp_path), 6, "other")
    refused(hpo_here(*first, "--name", "mine", "--set", "budget.epochs=2", cwd=tmp_path), 7, "launch --name mine")


def test_a_home_folder_that_no_shell_has_put_in_is_no_folder_of_that_name(tmp_path: Path) -> None:
    """A shell leaves `--out=~/FILE` as it is; whoever removes a folder `~` later may lose another one."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(builtin_study_file("digits"), home / "own.toml")
    run = hpo_here("check", "~/own.toml", cwd=tmp_path, HOME=str(home))
    assert run.returncode == 0, run.stderr
    run = hpo_here(
        "launch", "~/own.toml", "--on", "none", "--storage=sqlite:///~/a.sqlite3", cwd=tmp_path, HOME=str(home)
    )
    assert run.returncode == 0, run.stderr
    run = hpo_here("db", "backup", "~/b.sqlite3", "--storage", "sqlite:///~/a.sqlite3", cwd=tmp_path, HOME=str(home))
    assert run.returncode == 0, run.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["home"]
    assert (home / "b.sqlite3").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_a_sentence(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    address = f"sqlite:///{closed}/a.db"
    refused(hpo_here("launch", "--dataset", "digits", "--on", "none", "--storage", address, cwd=tmp_path), 9, closed)


@pytest.mark.linux
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
    (line,) = run.stderr.splitlines()
    assert unmentioned(line, "hpo", "disk") == []


def test_no_database_is_made_for_a_backup_that_is_not_there(tmp_path: Path) -> None:
    refused = hpo_here("db", "restore", "bakcup.sqlite3", cwd=tmp_path)
    assert (refused.returncode, list(tmp_path.iterdir())) == (5, [])
