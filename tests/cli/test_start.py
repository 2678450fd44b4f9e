"""`hpo --help` opens no heavy door and names what there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpo import errors
from hpo.cli.main import COMMANDS, cli
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.files import builtin_study_file, load_spec
from tests.cli.run import hpo_here
from tests.mention import unmentioned

HEAVY = {"torch", "libauc", "optuna", "sqlalchemy", "scipy", "sklearn", "numpy", "medmnist", "pydantic", "rich"}
HEAVY |= {"plotly", "matplotlib"}


def loaded(*arguments: str) -> tuple[str, set[str]]:
    """What `hpo ARGUMENTS` prints, and the modules that are loaded when it ends."""
    code = (
        "import sys\nfrom hpo.cli import main\nsys.argv = ['hpo', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return run.stdout, set(run.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["data", "--help"], ["db", "--help"], ["slurm", "--help"]])
def test_help_imports_no_heavy_package_and_no_command(arguments: list[str]) -> None:
    text, modules = loaded(*arguments)
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    commands = {entry.target.partition(":")[0] for entry in COMMANDS.values()} - {f"hpo.cli.{arguments[0]}"}
    assert commands & modules == set()
    assert "Usage: hpo" in text


def test_a_study_file_is_checked_without_a_database_and_numbers() -> None:
    text, modules = loaded("check", str(Path(__file__).parents[2] / "studies" / "breast.toml"))
    assert "breast" in text
    assert (HEAVY - {"pydantic"}) & {name.partition(".")[0] for name in modules} == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "trials"])
def test_reading_commands_import_neither_torch_nor_scipy(command: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/hpo.sqlite3"
    database = open_database(resolve_address(address), create=True)
    create_or_open(database, "digits", load_spec(builtin_study_file("digits")))
    database.close()
    text, modules = loaded(command, "digits", "--json", "--storage", address)
    json.loads(text)
    assert not {"torch", "libauc", "scipy", "sklearn"} & {name.partition(".")[0] for name in modules}


def test_help_names_every_command_and_exit_code(tmp_path: Path) -> None:
    text = hpo_here("--help", cwd=tmp_path).stdout
    assert unmentioned(text, *cli.commands) == []
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HpoError)]
    assert unmentioned(text, 0, 1, 130, *{kind.exit_code for kind in kinds}) == []


def test_the_short_option_for_help_works_on_commands(tmp_path: Path) -> None:
    run = hpo_here("launch", "-h", cwd=tmp_path)
    assert run.returncode == 0
    assert "--study-file FILE" in run.stdout
