"""What a command says of trials and long work: how far they are, and what is left after Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.render.leaderboard import signed
from hpo.cli.render.progress import _download_lines, progress
from hpo.cli.render.status import ended_line, running_line
from hpo.cli.render.trials import corrected_line
from hpo.launch.backends.local_launch import _stopped
from hpo.outcome.candidates import warnings
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.status import RunningTrial
from hpo.search.queries.trial_rows import CorrectedBest, CorrectedDifference, TrialRow
from hpo.search.queries.trials import read_best
from hpo.study.baselines import LIBAUC, shown_name
from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate
from hpo.testing.trainer import make_spec
from hpo.testing.trials import trained
from tests.cli.run import hpo_here
from tests.mention import unmentioned


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(resolve_address(f"sqlite:///{tmp_path}/s.sqlite3"), create=True)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("epoch", "share", "percent"), [(24, 0.0, False), (24, 0.0004, False), (24, 0.125, True), (25, 0.0, False)]
)
def test_a_part_of_the_next_epoch_is_told_if_there_is_one(epoch: int, share: float, percent: bool) -> None:
    running = RunningTrial(3, "w", epoch, 25, 0.9, share, 0.8, None, None, 1.0)
    line = running_line(running, of_networks=False)
    assert unmentioned(line, epoch, 25, ".800") == []
    assert ("%" in line) is percent


def test_copies_of_databases_draw_no_bars_without_a_terminal(database: Database, tmp_path: Path) -> None:
    trained(create_or_open(database, "s", make_spec(3)))
    storage = ("--storage", f"sqlite:///{tmp_path}/s.sqlite3")
    assert hpo_here("db", "backup", "b.sqlite3", *storage, cwd=tmp_path).stderr == ""
    refused = hpo_here("db", "backup", "s.sqlite3", *storage, cwd=tmp_path)
    assert refused.stderr.startswith("hpo: ")


def test_a_network_that_was_there_already_is_not_one_of_no_epochs() -> None:
    def line(epochs: int, state: str = "complete") -> str:
        row = TrialRow(1, state, None, None, epochs, {}, None, None, "w", 0.2, 1.0, 2.0, "trial 2", network=0)
        return ended_line(row)

    assert unmentioned(line(0), "epochs", "trial 2", "already") == ["epochs"]
    assert unmentioned(line(9), "9 epochs", "already") == ["already"]
    assert unmentioned(line(0, "failed"), "failed", "already") == ["already"]


def test_who_watches_without_a_terminal_reads_lines_at_once_and_for_each_trial_that_ends(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_or_open(database, "watched", make_spec(3))
    trained(study, (0.7, 0.9))
    seen = []

    def sleep(_seconds: float) -> None:
        seen.append(sys.stdout.text)
        trained(study, (0.8,))

    monkeypatch.setattr("hpo.cli.status.time.sleep", sleep)
    done = hpo_here("status", "watched", "--watch", "--storage", f"sqlite:///{tmp_path}/s.sqlite3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (before,) = seen
    assert unmentioned(before, 2, 3, ".900") == []
    assert unmentioned(done.stdout.removeprefix(before), "trial 2", ".800", 3) == []


def test_without_a_terminal_the_last_state_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as beat:
        for share in (0.0, 0.3, 0.7, 1.0):
            beat("reading", share)
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["0%", "100%"]


def test_the_end_of_a_download_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with _download_lines("x") as downloaded:
        for done in (1, 5, 10):
            downloaded(done, 10)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_interrupt_after_the_last_trial_leaves_nothing_to_continue(database: Database) -> None:
    study = create_or_open(database, "s", make_spec(2))
    trained(study, (0.7,))
    assert unmentioned(_stopped(study), "checkpoint") == []
    trained(study, (0.8,))
    assert unmentioned(_stopped(study), "checkpoint", 2) == ["checkpoint"]


def test_an_interrupt_is_answered_without_the_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    study = create_or_open(database, "s", make_spec(2))

    def away(*_: Any) -> None:
        from hpo.errors import StorageError

        raise StorageError("away")

    monkeypatch.setattr("hpo.search.queries.status.read_status", away)
    assert unmentioned(_stopped(study), "checkpoint") == []


def test_a_warning_names_a_baseline_as_people_read_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    study = create_or_open(database, "s", make_spec(3, references=True))
    trained(study)
    monkeypatch.setattr("hpo.search.queries.trial_rows.warning_of", lambda *_: "learned nothing")
    (said,) = warnings(study, [Candidate(name=LIBAUC, config=TrainConfig(), is_reference=True, trial=1)])
    assert unmentioned(said, shown_name(LIBAUC), LIBAUC) == [LIBAUC]


def test_it_is_said_whether_baselines_are_among_the_trials_that_are_counted(database: Database) -> None:
    study = create_or_open(database, "s", make_spec(3, references=True))
    trained(study)
    assert unmentioned(read_best(study).note, 3, "baselines included") == []
    best = CorrectedBest(2, 2, 0, 0.9, 0.8, 0.7, 0.9, 0.1, [CorrectedDifference("x", 0.1, 0.0, -0.1, 0.1)], 100)
    assert unmentioned(corrected_line(best), 2, "baselines not counted") == []


def test_differences_have_the_form_of_the_report() -> None:
    assert [signed(0.381), signed(-0.057)] == ["+0.381", "-0.057"]
