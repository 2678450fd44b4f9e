"""`hpo settings --markdown`: what its tables say of each setting and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import hpo_here


@pytest.fixture
def rows(tmp_path: Path) -> list[list[str]]:
    """The cells of the rows of all tables: name, legal values, default, and more."""
    page = hpo_here("settings", "--markdown", cwd=tmp_path).stdout
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]


def test_a_default_is_among_the_choices_that_its_row_lists(rows: list[list[str]]) -> None:
    listed = {name: (legal.split(", "), default) for name, legal, default, *_ in rows if " to " not in legal}
    assert {"`loss`", "`rungs`", "`references`"} <= listed.keys()
    assert {name: default for name, (legal, default) in listed.items() if default not in legal} == {}


def test_a_key_that_takes_a_word_or_a_list_says_both(rows: list[list[str]]) -> None:
    (legal,) = [legal for name, legal, *_ in rows if name == "`rungs`"]
    assert legal.split(", ") == ["folds", "epochs", "a list"]
