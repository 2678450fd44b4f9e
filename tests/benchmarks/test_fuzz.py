"""A few broken inputs of each kind, as `benchmarks.fuzz` tries them by the thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hypothesis", reason="the extra dev has it")

from benchmarks import fuzz
from benchmarks.inputs.tally import Tally


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["study files", "--set", "addresses", "command lines", "damaged databases"])
def test_no_input_ends_with_a_bug(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    tally = Tally(kind)
    fuzz.KINDS[kind](tally, 15, tmp_path)
    assert tally.tried >= 15
    assert tally.failures == []


def test_a_failure_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tally = Tally("x")
    for code, output in ((1, ""), (0, "Traceback (most recent call last)"), (0, "\x1b[2J"), (130, "")):
        tally.count(code, output, "what")
    tally.count(2, "a sentence", "what")
    assert (tally.tried, len(tally.failures)) == (5, 4)
