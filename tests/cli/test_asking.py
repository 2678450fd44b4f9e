"""Before what takes days somebody is asked, if there is somebody."""

from __future__ import annotations

import io

import pytest

from hpo.cli.asking import agrees
from tests.mention import unmentioned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_whoever_is_there_decides(typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Terminal()
    for name, stream in {"stdin": Terminal(typed), "stdout": Terminal(), "stderr": asked}.items():
        monkeypatch.setattr(f"sys.{name}", stream)
    assert agrees(100 * 24) is answer
    assert unmentioned(asked.getvalue(), "100.0 days") == []


@pytest.mark.parametrize("elsewhere", ["stdin", "stdout", "stderr"])
def test_where_nobody_can_answer_it_goes_on(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", io.StringIO() if name == elsewhere else Terminal("n\n"))
    assert agrees(100 * 24)
