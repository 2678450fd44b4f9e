"""How many workers a launch starts: a number, or by itself."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hpo.cli.common import CountOrAuto
from hpo.training.machine.limits import usable_cores
from tests.cli.run import hpo_forked, hpo_here
from tests.mention import unmentioned


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("12", 12), ("auto", "auto")])
def test_a_count_is_a_number_or_a_word(text: str, value: object) -> None:
    assert CountOrAuto().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "Auto", "many", ""])
def test_another_count_is_refused_with_the_legal_ones(text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        CountOrAuto().convert(text, None, None)
    assert unmentioned(refused.value.message, repr(text), 1, "auto") == []


@pytest.mark.slow
def test_on_a_cpu_workers_follow_from_cores_and_memory_and_nothing_is_measured(tmp_path: Path) -> None:
    assert hpo_here("launch", "--dataset", "digits", "--on", "none", cwd=tmp_path).returncode == 0
    cache = tmp_path / "cache"
    asked = hpo_forked("slurm", "measure", "digits", "--device", "cpu", cwd=tmp_path, XDG_CACHE_HOME=str(cache))
    assert asked.returncode == 0, asked.stderr
    assert 1 <= int(asked.stdout) <= usable_cores()
    assert not cache.exists()
