"""`hpo --help` opens no heavy door and names what there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hpo import errors
from hpo.cli.main import cli
from tests.cli.run import hpo_here
from tests.mention import unmentioned

HEAVY = {"torch", "libauc", "optuna", "sqlalchemy", "sklearn", "numpy", "medmnist", "pydantic", "rich", "plotly"}


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys\nfrom hpo.cli import main\nsys.argv = ['hpo', '--help']\n"
        "try:\n    main()\nfinally:\n    print(*(m.partition('.')[0] for m in sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stderr.split())
    assert "launch" in run.stdout


def test_help_names_every_command_and_exit_code(tmp_path: Path) -> None:
    text = hpo_here("--help", cwd=tmp_path).stdout
    assert unmentioned(text, *cli.commands) == []
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HpoError)]
    assert unmentioned(text, 0, 1, 130, *{kind.exit_code for kind in kinds}) == []


def test_the_short_option_for_help_works_on_commands(tmp_path: Path) -> None:
    run = hpo_here("launch", "-h", cwd=tmp_path)
    assert run.returncode == 0
    assert "--study-file FILE" in run.stdout
