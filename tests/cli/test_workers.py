"""How many workers a launch starts: a number, or as many as pay."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from hpo.cli.common import CountOrAuto
from tests.cli.run import hpo
from tests.mention import unmentioned

SMALL = ["--set", "budget.epochs=1", "--set", "search.first_rung=1", "--set", "scoring.rows=holdout"]


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("12", 12), ("auto", "auto")])
def test_a_count_is_a_number_or_a_word(text: str, value: object) -> None:
    assert CountOrAuto().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "Auto", "many", ""])
def test_another_count_is_refused_with_the_legal_ones(text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        CountOrAuto().convert(text, None, None)
    assert unmentioned(refused.value.message, repr(text), 1, "auto") == []


@pytest.mark.slow
def test_a_launch_on_auto_measures_and_the_next_one_remembers(tmp_path: Path) -> None:
    """One core for each worker at least, so that the number is at most that of the cores."""
    command = ["launch", "--dataset", "digits", *SMALL, "--device", "cpu"]
    first = hpo(*command, "--trials", "1", "--workers", "auto", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert first.returncode == 0, first.stderr
    (kept,) = (tmp_path / "cache").rglob("*.json")
    found, written = json.loads(kept.read_text()), kept.stat().st_mtime_ns
    assert found["workers"] >= 1
    assert unmentioned(first.stderr, kept, *found["lines"]) == []
    again = hpo(
        *(*command, "--trials", "2", "--workers-per-gpu", "auto"), cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert again.returncode == 0, again.stderr
    assert unmentioned(again.stderr, kept, *found["lines"]) == []
    asked = hpo("slurm", "measure", "digits", "--device", "cpu", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) == found["workers"]
    assert kept.stat().st_mtime_ns == written, "measured once"
