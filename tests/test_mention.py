"""The helper that finds facts in messages finds them, and nothing else."""

from __future__ import annotations

import pytest

from tests.mention import numbers_in, unmentioned

MESSAGE = "[space.margin] low = 0.9 exceeds 1,437;\n  give --set space.margin.high or `hpo\n  check FILE`, at least 3"


@pytest.mark.parametrize(
    "fact", ["[space.margin]", "margin", "low", 0.9, 1437, 3, "--set", "space.margin.high", "`hpo check FILE`"]
)
def test_a_fact_that_is_named_is_found(fact: object) -> None:
    assert unmentioned(MESSAGE, fact) == []


@pytest.mark.parametrize("fact", ["mar", "highest", 0, 9, 437, 30, "--s", "--se", "hpo launch"])
def test_a_part_of_a_word_or_of_a_number_is_no_fact(fact: object) -> None:
    assert unmentioned(MESSAGE, "low", fact) == [str(fact)]


def test_numbers_are_found_in_their_order_with_their_signs() -> None:
    assert numbers_in("trial 3: +.021 [-0.5, 7] of 12, not v2 nor 3D") == [3.0, 0.021, -0.5, 7.0, 12.0]


IN_PATHS = "/tmp/pytest-of-root/pytest-1/popen-gw0/a_3/hpo.sqlite3 and sqlite:////tmp/pytest-2/a_4 hold 5 of 6/7 trials"


def test_the_numbers_of_folders_are_no_facts() -> None:
    assert unmentioned(IN_PATHS, 0, 1, 2, 3, 4, 5, 6, 7, "hpo.sqlite3") == ["0", "1", "2", "3", "4"]
    assert numbers_in(IN_PATHS) == [5, 6, 7]
