"""`hpo confirm` on the digits, as a user runs it, with a worker killed on the way."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.api import open_study, run_worker
from hpo.outcome.leaderboard import Verdict
from hpo.study.baselines import shown_name
from tests.cli.run import hpo_forked, hpo_here, start_hpo
from tests.mention import unmentioned

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linear_network")]

SMALL = [
    *(
        "--set",
        "fixed.network=linear",
        "--set",
        "budget.epochs=4",
        "--set",
        "scoring.rows=holdout",
        "--set",
        "scoring.share=0.5",
    ),
    *("--set", "search.pruner=none", "--set", "fixed.batch_size=128"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, linear_network: None) -> Path:
    """A folder with a search of four trials and its confirmation, 4 candidates and 2 repeats, a worker killed on it."""
    folder = tmp_path_factory.mktemp("confirm")
    run = hpo_here("launch", "--dataset", "digits", "--trials", "4", *SMALL, "--on", "none", cwd=folder)
    assert run.returncode == 0, run.stderr
    search = open_study("digits", f"sqlite:///{folder / 'hpo.sqlite3'}")
    assert run_worker(search, device="cpu", checkpoint_dir="none").finished == 4
    made = hpo_here("confirm", "digits", "--top", "2", "--seeds", "2", "--on", "none", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert unmentioned(made.stderr, "`hpo worker digits-confirm`", "--top", 2, 8) == []
    assert made.stdout == ""
    _kill_a_worker(folder)
    return folder


def _kill_a_worker(folder: Path) -> None:
    # It rests at each step, so that it is seen with a trial.
    worker = start_hpo("worker", "digits-confirm", cwd=folder, STEP_SECONDS="0.1")
    deadline = time.monotonic() + 1800
    try:
        while (seen := _status(folder))["finished"] < 1 or not seen["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.result()


def _status(folder: Path) -> dict[str, Any]:
    run = hpo_here("status", "digits-confirm", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def confirmed(folder: Path) -> dict[str, Any]:
    """What the same command prints when it has done the rest."""
    run = hpo_forked("confirm", "digits", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_budget_is_exact_though_a_worker_was_killed(folder: Path, confirmed: dict[str, Any]) -> None:
    rows = _trials(folder)
    assert [row["number"] for row in rows] == list(range(8))
    assert {row["state"] for row in rows} == {"complete"}
    assert [row["repeat"] for row in rows] == [1] * 4 + [2] * 4
    assert (confirmed["done"], confirmed["whole"], confirmed["repeats"]) == (True, 2, 2)


def _trials(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(hpo_here("trials", "digits-confirm", "--json", cwd=folder).stdout)
    return rows


def test_trials_of_a_repeat_are_paired_and_differ_from_those_of_the_search(
    folder: Path, confirmed: dict[str, Any]
) -> None:
    records = [_record(folder, "digits-confirm", number) for number in range(8)]
    seeds = [(record["trial_seed"], record["scoring_seed"]) for record in records]
    assert seeds == [seeds[0]] * 4 + [seeds[4]] * 4
    assert seeds[0] != seeds[4]
    assert "scoring_seed" not in _record(folder, "digits", 2)


def _record(folder: Path, study: str, number: int) -> dict[str, Any]:
    shown = hpo_here("trials", study, str(number), "--json", cwd=folder)
    record: dict[str, Any] = json.loads(shown.stdout)["record"]
    return record


def test_the_winner_is_the_best_mean_and_every_difference_is_judged(confirmed: dict[str, Any]) -> None:
    standings = confirmed["standings"]
    means = [row["mean"] for row in standings]
    assert means == sorted(means, reverse=True)
    assert confirmed["winner"] == standings[0]["candidate"]
    assert {row["candidate"] for row in standings} >= {"medmnist-cross-entropy", "libauc-as-it-comes"}
    assert all(row["repeats"] == 2 and row["search_auc"] is not None for row in standings)
    verdicts = {difference["verdict"] for row in standings for difference in row["differences"]}
    assert verdicts <= set(Verdict)


def test_asked_again_it_prints_the_same_result_and_trains_nothing(folder: Path, confirmed: dict[str, Any]) -> None:
    before = _trials(folder)
    again = hpo_here("confirm", "digits", "--json", cwd=folder)
    assert json.loads(again.stdout) == confirmed
    assert _trials(folder) == before
    shown = hpo_here("confirm", "digits", cwd=folder, COLUMNS="160")
    assert unmentioned(shown.stdout, shown_name(confirmed["winner"]), "best mean") == []
    assert unmentioned(shown.stderr, "next: hpo finalize digits") == []


def test_a_confirmed_trial_is_replayed_bit_equal(folder: Path, confirmed: dict[str, Any]) -> None:
    run = hpo_forked("replay", "digits-confirm", "5", "--json", "--device", "cpu", cwd=folder)
    assert json.loads(run.stdout)["bit_equal"] is True, run.stderr


def test_every_other_command_reads_a_confirmation(folder: Path, confirmed: dict[str, Any]) -> None:
    for command in ("status", "trials", "best"):
        run = hpo_here(command, "digits-confirm", cwd=folder)
        assert run.returncode == 0, run.stderr
        assert "digits-confirm" in run.stdout


def test_a_launch_on_it_is_refused_with_the_command_that_is_meant(folder: Path, confirmed: dict[str, Any]) -> None:
    run = hpo_here("launch", "--dataset", "digits", "--name", "digits-confirm", "--trials", "20", *SMALL, cwd=folder)
    assert run.returncode == 7
    assert unmentioned(run.stderr, "`hpo confirm digits`") == []
    fewer = hpo_here("confirm", "digits", "--seeds", "1", cwd=folder)
    assert fewer.returncode == 7
    assert unmentioned(fewer.stderr, "digits-confirm", 2, "--seeds") == []
