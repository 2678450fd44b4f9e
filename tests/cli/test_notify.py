"""`--notify` at commands whose workers run at once, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.confirm import _tell_of_winner
from hpo.errors import WorkersFailedError
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.launch.backends.nowhere import NoWorkers
from hpo.launch.notify import Notifier
from hpo.outcome.leaderboard import Confirmation, LeaderboardRow
from hpo.search.queue.workers import this_process
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.plugins import kept_registries


class Here(NoWorkers):
    """A backend whose only worker learns at once and ends with the command, after `limit` trials."""

    waits = True
    limit: int | None = None
    fails = False

    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        if self.fails:
            raise WorkersFailedError("worker w ended with code 6; the end of its log:\nmore", 6)
        run_worker(study, identity=this_process("w"), train=FakeTrainer(study.spec.budget.epochs), limit=self.limit)
        return Submission(job=None, workers=1)


@pytest.fixture
def here() -> Iterator[type[Here]]:
    with kept_registries():
        yield BACKENDS.register("here", type("Own", (Here,), {}))


def told(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `--notify` is told by `hpo ARGUMENTS`, which may fail."""
    (file := folder / "told").unlink(missing_ok=True)
    run = hpo_here(*arguments, "--on", "here", "--notify", f"cat >> {file}", cwd=folder)
    assert "Traceback" not in run.stderr
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


LAUNCH = ("launch", "digits", "--trials", "6", "--set", "budget.epochs=3", "--set", "search.pruner=none")


@pytest.mark.slow
def test_a_study_that_stops_and_ends_tells_so(tmp_path: Path, here: type[Here]) -> None:
    here.limit = 2
    (stopped,) = told(tmp_path, *LAUNCH)
    assert (stopped["study"], stopped["event"], stopped["finished"], stopped["trials"]) == ("digits", "stopped", 2, 6)
    here.limit = None
    (ended,) = told(tmp_path, *LAUNCH)
    assert (ended["event"], ended["finished"]) == ("ended", 6)
    assert unmentioned(ended["text"], "digits", 6, f"{ended['auc']:.3f}") == []
    assert told(tmp_path, *LAUNCH) == []


def confirmation(winner: str | None) -> Confirmation:
    """A confirmation of which only the winner counts."""
    rows = [
        LeaderboardRow(number, name, name == "LibAUC", trial, 0.9, None, 2, 0.9, 0.01, 0.88, 0.92, 0.0, [], "")
        for number, (name, trial) in enumerate([("trial 7", 7), ("LibAUC", 1)])
    ]
    is_done = winner is not None
    return Confirmation("s-confirm", "s", "digits", "oof", "best", 2, 2, is_done, winner, winner, rows, [])


@pytest.mark.parametrize(("winner", "number"), [("trial 7", 1), ("LibAUC", 0), (None, 0)])
def test_a_confirmed_winner_is_a_new_best_unless_it_is_a_baseline(
    tmp_path: Path, winner: str | None, number: int
) -> None:
    _tell_of_winner(confirmation(winner), Notifier([f"cat >> {tmp_path}/told"]))
    lines = (tmp_path / "told").read_text().splitlines() if (tmp_path / "told").exists() else []
    assert len(lines) == number
    for best in map(json.loads, lines):
        assert (best["study"], best["event"], best["confirmation"], best["trial"]) == ("s", "best", "s-confirm", 7)
        assert unmentioned(best["text"], "trial 7", "0.900", "0.880", "0.920") == []


def test_workers_that_fail_are_told_in_one_line(tmp_path: Path, here: type[Here]) -> None:
    here.fails = True
    (failed,) = told(tmp_path, *LAUNCH)
    assert (failed["study"], failed["event"]) == ("digits", "failed")
    assert unmentioned(failed["text"], "code 6") == []
    assert "\n" not in failed["text"]


def test_a_target_that_cannot_be_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    run = hpo_here(*LAUNCH, "--notify", "ftp://a.org/b", cwd=tmp_path)
    assert run.returncode == 2
    assert unmentioned(run.stderr, "--notify", "ftp://a.org/b") == []
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_wait_says_that_nobody_is_told(tmp_path: Path) -> None:
    run = hpo_here(*LAUNCH, "--on", "none", "--notify", "false", cwd=tmp_path)
    assert run.returncode == 0
    assert unmentioned(run.stderr, "--notify", "--on none") == []
