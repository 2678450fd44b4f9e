"""The wheel, built from the source distribution and installed into a clean environment, does a whole study there.

The environment is new and holds hpo's wheel alone. Its dependencies are those of the environment that runs the tests,
put on the path behind it by a `.pth` file: installing them again would take minutes, and 500 MB to 3 GB. Python does
not read the `.pth` files of a folder that another one has named, so the editable hpo of a checkout is out of reach.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hpo
from hpo.study.catalogue import DATASETS
from tests.plugins import write_distribution

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHIPPED = "hpo/study/shipped"
LINEAR = """
import math
from hpo import register_network

def linear(shape, labels):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))

def register():
    register_network("linear", linear, description="a linear model")
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def in_the_work_tree(*folders: str) -> set[str]:
    """The files that git tracks or would add, which is what a build takes; skips the test outside a checkout."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs git and a checkout, for the list of files that belong to the package")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders, cwd=ROOT).split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", folder, cwd=ROOT)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Built from the source distribution, as pip does for who has no wheel, so that what it needs must be in there."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", sdist.parent / "wheel")
    run(sys.executable, "-m", "pip", "wheel", *options, sdist, cwd=sdist.parent)
    (made,) = (sdist.parent / "wheel").iterdir()
    return made


class Installed:
    """A virtual environment with the wheel, and a folder far from the repository to work in."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.environment, self.folder = folder / "env", folder / "work"
        self.folder.mkdir()
        run(sys.executable, "-m", "venv", "--without-pip", self.environment, cwd=folder)
        self._python = self.environment / "bin" / "python"
        # Before the dependencies are there, among which pip would find the hpo of the checkout.
        pip = (sys.executable, "-m", "pip", "--python", self._python)
        run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
        (own,) = self.environment.glob("lib/python*/site-packages")
        others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (own / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
        write_distribution(own, {"quick": "quick:register"}, quick=LINEAR)

    def hpo(self, *arguments: str) -> str:
        """What the installed command `hpo` prints."""
        return self._run(self.environment / "bin" / "hpo", *arguments)

    def python(self, code: str) -> str:
        """What the environment's Python prints."""
        return self._run(self._python, "-c", code)

    def _run(self, *command: str | Path) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HPO_", "PYTHON"))}
        clean |= {"HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(list(command), cwd=self.folder, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def test_the_source_distribution_holds_the_repository(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == in_the_work_tree() | {"PKG-INFO"}


def test_the_wheel_holds_the_package_and_the_study_files_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"hpo_dam-{hpo.__version__}.dist-info"
    expected = {f"{SHIPPED}/{name.partition('/')[2]}" for name in in_the_work_tree("studies")} | in_the_work_tree("hpo")
    assert {name for name in names if not name.startswith(about)} == expected
    assert {f"{about}/METADATA", f"{about}/entry_points.txt", f"{about}/licenses/LICENSE"} <= names


def test_the_installed_package_is_that_of_the_wheel_and_typed(installed: Installed) -> None:
    code = "import hpo, pathlib; print(hpo.__file__); print(pathlib.Path(hpo.__file__).with_name('py.typed').is_file())"
    file, is_typed = installed.python(code).split()
    assert Path(file).is_relative_to(installed.environment)
    assert is_typed == "True"
    version = f"import importlib.metadata; print(importlib.metadata.version({hpo.DISTRIBUTION!r}))"
    assert installed.python(version).strip() == hpo.__version__


def test_the_installed_command_answers(installed: Installed) -> None:
    assert installed.hpo("--version").split()[-1] == hpo.__version__
    settings = {row["name"]: row for row in json.loads(installed.hpo("settings", "--json"))}
    assert "margin" in settings
    assert "linear" in settings["network"]["choices"]


def test_every_dataset_has_the_study_file_of_the_wheel(installed: Installed) -> None:
    names = [dataset.name for dataset in DATASETS]
    code = f"from hpo.study.files import builtin_study_file as find\nfor name in {names!r}: print(find(name))"
    files = [Path(line) for line in installed.python(code).splitlines()]
    assert {file.name for file in files} == {file.name for file in (ROOT / "studies").glob("*.toml")}
    assert all(file.is_relative_to(installed.environment) for file in files)
    installed.hpo("check", *sorted({str(file) for file in files}))


def test_a_study_runs_from_launch_to_report(installed: Installed) -> None:
    quick = ("fixed.network=linear", "scoring.folds=2", "budget.epochs=1")
    settings = [word for setting in quick for word in ("--set", setting)]
    installed.hpo("launch", "digits", "--trials", "1", "--on", "none", *settings)
    installed.hpo("worker", "digits", "--device", "cpu")
    installed.hpo("report", "digits")
    report = (installed.folder / "hpo-results" / "digits" / "report.html").read_text(encoding="utf-8")
    assert (ROOT / "hpo" / "outcome" / "report" / "style.css").read_text(encoding="utf-8") in report
