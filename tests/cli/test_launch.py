"""The main job on the digits, through the command, as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.run import hpo_forked, hpo_here, start_hpo
from tests.mention import unmentioned
from tests.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linear_network")]

QUICK = ["--set", "fixed.network=linear", "--set", "scoring.folds=2", "--set", "fixed.batch_size=128"]
SMALL = [*QUICK, "--set", "budget.epochs=2", "--set", "search.first_rung=1"]
SLOW = {"STEP_SECONDS": "0.1"}
"""Of workers that are to be seen training."""


def finished(folder: Path) -> int:
    return json.loads(hpo_here("status", "digits", "--json", cwd=folder).stdout)["finished"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, linear_network: None) -> Path:
    """A folder with a finished study of four trials."""
    folder = tmp_path_factory.mktemp("launch")
    run = hpo_forked("launch", "--dataset", "digits", "--trials", "4", *SMALL, cwd=folder)
    assert run.returncode == 0, run.stderr
    assert unmentioned(run.stderr, "4 of 4", "next: hpo confirm digits") == []
    assert "MedMNIST recipe" in run.stdout
    return folder


def test_the_ranked_list_holds_the_references_and_what_was_searched(study: Path) -> None:
    best = json.loads(hpo_here("best", "digits", "--json", cwd=study).stdout)
    assert best
    rows = json.loads(hpo_here("trials", "digits", "--json", cwd=study).stdout)
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert [row["reference"] for row in rows[:2]] == ["medmnist-cross-entropy", "libauc-as-it-comes"]
    assert all(row["state"] in ("complete", "pruned") for row in rows)
    assert all(row["standard_error"] > 0 for row in rows)


def test_people_get_tables_on_stdout(study: Path) -> None:
    for command in ("status", "trials", "best"):
        run = hpo_here(command, "digits", cwd=study, COLUMNS="160")
        assert run.returncode == 0, run.stderr
        assert "digits" in run.stdout
        assert "±" in run.stdout


def test_a_relaunch_of_a_finished_study_adds_none_and_more_trials_extend_it(study: Path) -> None:
    again = hpo_forked("launch", "--dataset", "digits", "--trials", "4", *SMALL, cwd=study)
    assert again.returncode == 0
    assert finished(study) == 4
    assert (
        hpo_forked("launch", "--dataset", "digits", "--trials", "5", *SMALL, "--workers", "1", cwd=study).returncode
        == 0
    )
    assert finished(study) == 5


def test_a_launch_without_trials_keeps_the_number_of_the_study(study: Path) -> None:
    before = json.loads(hpo_here("status", "digits", "--json", cwd=study).stdout)["budget"]
    assert hpo_forked("launch", "--dataset", "digits", *SMALL, cwd=study).returncode == 0
    assert json.loads(hpo_here("status", "digits", "--json", cwd=study).stdout)["budget"] == before


def test_a_replayed_trial_is_bit_equal_on_a_cpu(study: Path) -> None:
    run = hpo_forked("replay", "digits", "1", "--json", "--device", "cpu", cwd=study)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["bit_equal"] is True


def test_a_trial_that_does_not_exist_is_a_sentence(study: Path) -> None:
    run = hpo_here("replay", "digits", "99", cwd=study)
    assert run.returncode == 6
    assert unmentioned(run.stderr, "digits", 99) == []
    assert "Traceback" not in run.stderr


def test_an_unknown_study_is_answered_with_the_nearest(study: Path) -> None:
    run = hpo_here("status", "digts", cwd=study)
    assert run.returncode == 6
    assert unmentioned(run.stderr, "digts", "digits") == []


def test_an_interrupted_launch_stops_cleanly_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = ["launch", "--dataset", "digits", "--trials", "3", *QUICK, "--set", "budget.epochs=4", "--workers", "1"]
    process = start_hpo(*command, cwd=tmp_path, **SLOW)
    until(lambda: _training(tmp_path), 1800, pause=0.2)
    process.send_signal(signal.SIGINT)
    interrupted = process.result()
    assert interrupted.returncode == 130, interrupted.stderr
    assert "Traceback" not in interrupted.stderr
    assert not _training(tmp_path)

    again = hpo_forked(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    rows = json.loads(hpo_here("trials", "digits", "--json", cwd=tmp_path).stdout)
    assert [row["number"] for row in rows] == [0, 1, 2]


def test_a_launch_that_hpo_stop_ended_is_not_a_success(tmp_path: Path) -> None:
    endless = ("--set", "budget.epochs=2000", "--set", "search.pruner=none", "--workers", "1")
    process = start_hpo("launch", "--dataset", "digits", "--trials", "9", *QUICK, *endless, cwd=tmp_path, **SLOW)
    until(lambda: _training(tmp_path), 1800, pause=0.2)
    assert hpo_here("stop", "digits", "--now", cwd=tmp_path).returncode == 0
    ended = process.result()
    assert ended.returncode == 130, ended.stderr
    assert unmentioned(ended.stderr, 9) == []
    assert finished(tmp_path) < 9


def _training(folder: Path) -> bool:
    run = hpo_here("status", "digits", "--json", cwd=folder)
    return run.returncode == 0 and bool(json.loads(run.stdout)["running"])


def test_one_trial_is_shown_with_its_curve_and_everything_it_takes_to_run_it_again(study: Path) -> None:
    shown = json.loads(hpo_here("trials", "digits", "0", "--json", cwd=study).stdout)
    assert [point["epoch"] for point in shown["curve"]] == [1, 2]
    record = shown["record"]
    assert record["config"]["loss"] == "cross_entropy"
    assert {"trial_seed", "study_seed", "code_version", "dirty", "data_md5", "seconds", "peak_memory"} <= record.keys()
    assert {"python", "torch", "libauc", "optuna", "device name", "threads"} <= record["environment"].keys()
    assert record["peak_memory"] < 2.5 * 2**30


def test_the_live_view_can_be_drawn_into_a_file(study: Path, tmp_path: Path) -> None:
    run = hpo_here("status", "digits", "--picture", str(tmp_path / "view.svg"), cwd=study)
    assert run.returncode == 0, run.stderr
    assert "MedMNIST recipe" in (tmp_path / "view.svg").read_text().replace("&#160;", " ")
