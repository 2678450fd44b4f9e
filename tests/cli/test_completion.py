"""Shell completion: the scripts, and what they complete, asked as a shell asks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.files import builtin_study_file, load_spec
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.plugins import write_distribution


def completed(folder: Path, line: str, **environment: str) -> list[str]:
    """What zsh would offer for the last word of a line; zsh gets a type, a value and a help line for each."""
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_HPO_COMPLETE": "zsh_complete"}
    run = hpo_here(cwd=folder, **asked, **environment)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()[1::3]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with a database of three studies."""
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    for name in ("alpha", "alpine", "beta"):
        create_or_open(database, name, load_spec(builtin_study_file("digits")))
    database.close()
    return tmp_path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_sound(tmp_path: Path, shell: str) -> None:
    run = hpo_here("completion", shell, cwd=tmp_path)
    assert run.returncode == 0
    assert "_HPO_COMPLETE" in run.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=run.stdout, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_command_by_the_script_that_is_printed(tmp_path: Path) -> None:
    (tmp_path / "hpo").write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent}/hpo" "$@"\n')
    (tmp_path / "hpo").chmod(0o755)
    script = (
        f'PATH="{tmp_path}:$PATH"; eval "$(hpo completion bash)"; '
        'COMP_WORDS=(hpo sta); COMP_CWORD=1; _hpo_completion hpo; echo "${COMPREPLY[@]}"'
    )
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["status"], run.stderr


def test_an_unknown_shell_is_refused(tmp_path: Path) -> None:
    run = hpo_here("completion", "tcsh", cwd=tmp_path)
    assert run.returncode == 2
    assert unmentioned(run.stderr, "tcsh", "bash", "zsh", "fish") == []


def test_datasets_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "hpo launch --dataset n") == ["nodule3d"]
    assert completed(tmp_path, "hpo data fetch p") == ["pneumonia"]


@pytest.mark.parametrize("command", ["status", "trials", "best", "worker", "dashboard", "replay"])
def test_studies_are_completed_from_the_database(studies: Path, command: str) -> None:
    assert completed(studies, f"hpo {command} al") == ["alpha", "alpine"]


def test_studies_are_completed_from_the_database_that_the_line_names(studies: Path, tmp_path: Path) -> None:
    address = f"sqlite:///{studies}/hpo.sqlite3"
    assert completed(tmp_path, f"hpo status --storage {address} b") == ["beta"]
    assert completed(tmp_path, "hpo status b", HPO_STORAGE=address) == ["beta"]


def test_no_database_is_no_study_and_no_noise(tmp_path: Path) -> None:
    assert completed(tmp_path, "hpo status a") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_database_that_says_nothing_does_not_hold_the_shell(tmp_path: Path) -> None:
    """The server takes the connection and never answers: the shell has its answer while the question still waits."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = threading.enumerate()
        assert completed(tmp_path, "hpo status a", HPO_STORAGE=f"postgresql://u@127.0.0.1:{port}/d") == []
        with silent.accept()[0]:
            asking = [thread for thread in threading.enumerate() if thread not in before]
            assert [thread.daemon for thread in asking] == [True], "nor does it hold the end of the process"


def test_settings_are_completed_up_to_the_value(tmp_path: Path) -> None:
    assert completed(tmp_path, "hpo launch --set budget.e") == ["budget.epochs="]
    assert completed(tmp_path, "hpo launch --set space.margin.l") == ["space.margin.low=", "space.margin.log="]
    assert "fixed.optimizer=" in completed(tmp_path, "hpo check --set fixed.opt")


def test_commands_are_completed_at_every_level(tmp_path: Path) -> None:
    assert completed(tmp_path, "hpo sta") == ["status"]
    assert completed(tmp_path, "hpo db re") == ["restore"]
    assert "--workers-per-gpu" in completed(tmp_path, "hpo launch --work")


def test_choices_are_completed_with_those_of_plugins(tmp_path: Path) -> None:
    write_distribution(
        tmp_path,
        {"mine": "mine", "broken": "broken"},
        mine="from hpo.study.choices import LOSSES\nLOSSES.register('auc_of_mine', 'm:f')",
        broken="raise RuntimeError",
    )
    offered = {
        "fixed.loss=auc": ["fixed.loss=aucm_v1", "fixed.loss=aucm_v2", "fixed.loss=auc_of_mine"],
        "search.pruner=as": ["search.pruner=asha"],
        "fixed.shape_multiplier=": ["fixed.shape_multiplier=false", "fixed.shape_multiplier=true"],
        "fixed.margin=": [],
    }
    code = (
        "from hpo.cli.completers import complete_settings\n"
        f"for begun in {list(offered)!r}: print(*(item.value for item in complete_settings(None, None, begun)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert [line.split() for line in run.stdout.splitlines()] == list(offered.values())
    assert run.stderr == ""
