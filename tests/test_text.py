"""Text from outside, as people may see it."""

from __future__ import annotations

import math
import re
import shlex

import pytest

from hpo.text import bounds, brief, composed, counted, found_four_times_in_five, shell, visible, with_error


def test_one_thing_is_not_told_in_the_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_an_error_of_exactly_zero_is_unknown_and_not_shown_as_one() -> None:
    assert with_error(1.0, 0.0) == with_error(1.0, None) == "1.000"
    assert with_error(0.998, 0.0004) == ".998 ± .000"


def test_a_letter_and_its_accent_are_one_character_however_they_were_written() -> None:
    assert composed("Mu\u0308ller") == composed("M\u00fcller") == "M\u00fcller"


@pytest.mark.parametrize("text", ["plain", "two words", "ä 日本 😀", "a\nb\tc", "non\u00a0breaking"])
def test_what_a_terminal_only_prints_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u200b", "\u2028", "\x00", "\udcff"])
def test_what_a_terminal_obeys_or_hides_is_shown_as_an_escape(letter: str) -> None:
    shown = visible(f"a{letter}b")
    assert letter not in shown
    assert shown == f"a{letter.encode('unicode_escape', 'backslashreplace').decode()}b"


@pytest.mark.parametrize("name", ["digits", "two words", "a'b", "$(id)", "é ü", "*"])
def test_a_shell_reads_a_quoted_name_as_it_was(name: str) -> None:
    assert shlex.split(shell(name)) == [name]


def test_a_name_with_a_leading_dash_is_no_option() -> None:
    assert shlex.split(shell("-x y")) == ["--", "-x y"]


def test_a_value_of_any_size_has_a_short_text() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (10**5000, nested, "x" * 10_000):
        assert 0 < len(brief(value)) <= 100
    assert brief("x") == "'x'"


def test_a_difference_that_two_aucs_cannot_have_is_not_told() -> None:
    assert "0.250" in found_four_times_in_five(0.25)
    assert re.search(r"\d", found_four_times_in_five(1.976)) is None
    assert found_four_times_in_five(math.inf) == found_four_times_in_five(math.nan) == ""


def test_a_difference_of_two_aucs_is_never_beyond_one() -> None:
    assert bounds(-2.337, 3.378, signed=True) == "[-1.000, +1.000]"
    assert bounds(-0.0121, 0.0337, signed=True) == "[-0.012, +0.034]"
    assert bounds(None, 0.5, signed=True) == "-"
