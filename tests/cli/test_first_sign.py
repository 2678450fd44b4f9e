"""A command at a terminal gives a sign of life within seconds."""

from __future__ import annotations

import io

import pytest

from hpo.cli.first_sign import first_sign
from hpo.cli.streams import say
from tests.mention import unmentioned
from tests.wait import until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_silent_command_says_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with first_sign("hpo report", seconds=0.01):
        until(lambda: terminal.getvalue() != "")
    assert unmentioned(terminal.getvalue(), "hpo report") == []


def test_a_command_that_has_spoken_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with first_sign("hpo report", seconds=0.0):
        say("study breast")
        with first_sign("hpo report", seconds=60.0):
            pass
    assert terminal.getvalue().splitlines()[-1] == "study breast"


def test_a_file_gets_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with first_sign("hpo report", seconds=0.0):
        pass
    assert file.getvalue() == ""
