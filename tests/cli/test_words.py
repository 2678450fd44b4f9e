"""Arguments that no command can mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.words import check_words
from hpo.errors import UsageError
from tests.cli.run import hpo_here
from tests.mention import unmentioned


@pytest.mark.parametrize("words", [["status", ""], ["--name", ""], ["launch", "--name="], ["status", "\udcff"]])
def test_a_word_that_is_empty_or_no_text_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        check_words(words, {})


def test_a_variable_that_is_no_text_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match="HPO_DATA_DIR"):
        check_words([], {"HPO_DATA_DIR": "\udcff", "OTHER": "\udcff"})
    check_words(["launch", "--set", "fixed.loss=", "--", "x"], {"HPO_STORAGE": ""})


@pytest.mark.parametrize("words", [["budget.epochs", "=", "3"], ["budget.epochs=", "3"], ["budget.epochs", "=3"]])
def test_blanks_around_the_equals_sign_are_named(words: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        check_words(["launch", "digits", "--set", *words], {})
    assert unmentioned(refused.value, "--set budget.epochs=3") == []
    check_words(["launch", "--set", "fixed.loss=", "--set", "a=3", "x"], {})


@pytest.mark.parametrize("option", ["--name", "--data-dir", "--checkpoint-dir", "--log-dir", "--storage"])
def test_an_empty_option_is_not_the_default(option: str, tmp_path: Path) -> None:
    run = hpo_here("launch", "--dataset", "digits", "--on", "none", option, "", cwd=tmp_path)
    assert (run.returncode, option in run.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["-x", " x", "a\x1b[2J", "a\nb", "\u202ex", "n" * 201])
def test_a_name_that_would_do_harm_is_refused_at_creation(name: str, tmp_path: Path) -> None:
    run = hpo_here("launch", "--dataset", "digits", "--on", "none", f"--name={name}", cwd=tmp_path)
    assert run.returncode == 2
    assert "\x1b" not in run.stderr
    assert hpo_here("trials", f"--storage=sqlite:///{tmp_path}/hpo.sqlite3", "--", name, cwd=tmp_path).returncode == 6


@pytest.mark.parametrize("number", [2**31, 3 * 10**9, 10**23])
@pytest.mark.parametrize("command", ["trials", "replay"])
def test_a_number_that_no_trial_can_have_is_no_such_trial(command: str, number: int, tmp_path: Path) -> None:
    assert hpo_here("launch", "--dataset", "digits", "--on", "none", cwd=tmp_path).returncode == 0
    assert hpo_here(command, "digits", str(number), cwd=tmp_path).returncode == 6


@pytest.mark.parametrize(
    "words",
    [
        ["worker", "x", "--threads", "9" * 31],
        ["worker", "x", "--sharing", "9" * 9],
        ["replay", "x", "0", "--threads", "99999"],
        ["launch", "--dataset", "digits", "--workers", "9" * 5000],
        ["launch", "--dataset", "digits", "--workers", "99999999"],
        ["launch", "--dataset", "digits", "--trials", "9" * 5000],
        ["trials", "x", "9" * 5000],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_an_absurd_number_is_a_wrong_command_line(words: list[str], tmp_path: Path) -> None:
    run = hpo_here(*words, cwd=tmp_path)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
