"""What is installed: licences, the lock, names and versions."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import hpo
from hpo.text import installing

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\n]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
EXTRAS_FOR_A_DATABASE = {"psycopg", "psycopg-binary"}


def licence(distribution: importlib.metadata.Distribution) -> str:
    metadata: Any = distribution.metadata
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License")]
    return " ".join([metadata.get("License-Expression") or "", *classifiers, (metadata.get("License") or "")[:80]])


def test_nothing_that_is_installed_is_under_the_gpl() -> None:
    """The PostgreSQL driver, an optional extra, is under the LGPL, which puts no duty on what imports it."""
    found = {
        d.name: licence(d)
        for d in importlib.metadata.distributions()
        if re.search(r"GPL|General Public", licence(d)) and d.name.lower() in LOCK
    }
    assert found.keys() <= EXTRAS_FOR_A_DATABASE
    assert all("LGPL" in text for text in found.values())


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_every_dependency_is_in_the_lock(requirement: str) -> None:
    assert re.match(r"[A-Za-z0-9_.-]+", requirement)[0] in LOCK


def test_the_lock_takes_the_torch_that_has_a_cpu_and_a_cuda_build() -> None:
    assert LOCK["torch"] == "2.13.0"
    assert "nvidia-cudnn-cu13" in LOCK


def test_what_is_installed_here_is_what_the_lock_says() -> None:
    for name in ("torch", "libauc", "optuna", "sqlalchemy", "medmnist"):
        assert importlib.metadata.version(name).split("+")[0] == LOCK[name]


def test_the_code_knows_the_name_under_which_it_is_distributed() -> None:
    assert PROJECT["name"] == hpo.DISTRIBUTION
    assert PROJECT["name"] != "hpo", "the name hpo belongs to another project on PyPI"
    assert PROJECT["scripts"] == {"hpo": "hpo.__main__:main"}


def test_messages_name_the_packages_of_each_extra() -> None:
    developers = {"dev", "search-benchmark"}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        if extra not in developers:
            names = [re.split("[<>=]", requirement)[0] for requirement in requirements]
            assert shlex.split(installing(extra)) == ["pip", "install", *names]


def test_no_page_and_no_message_installs_hpo_from_an_index_which_does_not_have_it() -> None:
    places = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "hpo").rglob("*.py")]
    lines = [line for path in places for line in path.read_text().splitlines() if f"{hpo.DISTRIBUTION}[" in line]
    assert lines == []


def test_the_versions_of_python_that_are_allowed_are_those_that_make_setup_takes_and_pypi_shows() -> None:
    allowed = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    lowest, beyond = (int(minor) for minor in allowed.groups())
    taken = re.search(r"\(3,(\d+)\) <= sys\.version_info\[:2\] <= \(3,(\d+)\)", (ROOT / "Makefile").read_text())
    assert [int(minor) for minor in taken.groups()] == [lowest, beyond - 1]
    shown = [line.rpartition(" :: 3.")[2] for line in PROJECT["classifiers"] if " :: 3." in line]
    assert [int(minor) for minor in shown] == list(range(lowest, beyond))


def test_the_citation_and_the_changelog_have_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (hpo.__version__, PROJECT["license"])
    assert f"## [{hpo.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
