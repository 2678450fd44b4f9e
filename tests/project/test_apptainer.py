"""hpo.def, the Apptainer definition: what can be checked of it where Apptainer is not installed."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.project.documents import ROOT, parse

TEXT = (ROOT / "hpo.def").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HEAD, *PARTS = re.split(r"^%(\w+)\n", TEXT, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[::2], PARTS[1::2], strict=True))
COPIED = dict(line.split() for line in SECTIONS["files"].splitlines() if line.strip())


def test_it_starts_from_the_image_that_the_dockerfile_starts_from() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    lines = [line for line in HEAD.splitlines() if line and not line.startswith("#")]
    assert lines == ["Bootstrap: docker", f"From: {base}"]


def test_it_has_sections_that_apptainer_knows_each_once() -> None:
    assert PARTS[::2] == ["files", "post", "environment", "runscript", "test", "help"]


def test_it_copies_what_exists_and_what_the_dockerfile_copies_to_build() -> None:
    assert [name for name in COPIED if not (ROOT / name).exists()] == []
    assert all(target == f"/src/{name}" for name, target in COPIED.items())
    build = DOCKERFILE.partition("FROM ${BASE}\n")[0]
    lines = [line.split()[1:-1] for line in build.splitlines() if line.startswith("COPY ")]
    assert set(COPIED) == {name for line in lines for name in line}


@pytest.mark.parametrize("section", ["post", "environment", "runscript", "test"])
def test_its_scripts_are_read_by_a_plain_shell(section: str) -> None:
    assert subprocess.run(["sh", "-n"], input=SECTIONS[section], text=True, check=False).returncode == 0


def test_the_extras_and_constraints_that_it_installs_exist() -> None:
    (line,) = [line for line in SECTIONS["post"].splitlines() if "pip install" in line]
    words = shlex.split(line)
    assert words[words.index("-c") + 1] in COPIED
    extras = words[-1].removeprefix(".[").removesuffix("]").split(",")
    known = re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(extras) <= set(known)


def test_the_image_runs_and_tests_commands_that_exist() -> None:
    assert SECTIONS["runscript"].strip() == 'exec hpo "$@"'
    tested = [shlex.split(line.partition(">")[0])[1:] for line in SECTIONS["test"].strip().splitlines()]
    assert tested[0] == ["--version"]
    for words in tested[1:]:
        parse(words)
