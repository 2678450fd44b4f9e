"""`hpo init` writes a study file that suits the data and fits the time."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.development import Development, load_development
from hpo.launch.estimate import Estimate, side_by_side, trained_share
from hpo.launch.initial import _rendered, fit_budget, suited_table
from hpo.study.catalogue import find_dataset
from hpo.study.files import check_spec, default_spec, load_spec
from tests.mention import unmentioned
from tests.own_files import own_file


def _development(folder: Path, rows: tuple[int, int, int] = (400, 100, 50), **others: Any) -> Development:
    dataset = find_dataset(str(own_file(folder / "mine.npz", rows, **others)))
    return load_development(dataset, folder)


def _hours(table: dict[str, Any], development: Development, seconds: float, cores: int) -> float:
    spec = check_spec(table, "table", development.dataset)
    together = seconds * spec.scoring.fold_count / side_by_side(spec.scoring.fold_count, [cores])
    return Estimate(together, spec.budget.trials, spec.budget.epochs, trained_share(spec), 1).hours


@pytest.mark.parametrize(("shape", "similar"), [((6, 6), "breast"), ((6, 6, 3), "breast"), ((4, 4, 4), "nodule3d")])
def test_the_file_is_valid_and_its_space_small(shape: tuple[int, ...], similar: str, tmp_path: Path) -> None:
    development = _development(tmp_path, shape=shape)
    table, reasons = suited_table(development)
    text = _rendered(table, development, reasons)
    assert tomllib.loads(text) == table
    (tmp_path / "mine.toml").write_text(text)
    spec = load_spec(tmp_path / "mine.toml")
    assert spec.data.source == str(tmp_path / "mine.npz")
    assert len(spec.space) <= 15
    assert set(spec.space) == set(default_spec(similar).space)
    assert len(spec.start) == 2


def test_a_long_name_and_quotes_survive(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ é'
    folder.mkdir()
    development = _development(folder)
    table, reasons = suited_table(development)
    assert tomllib.loads(_rendered(table, development, reasons))["dataset"] == str(folder / "mine.npz")


@pytest.mark.slow
def test_folds_follow_from_the_samples(tmp_path: Path) -> None:
    assert suited_table(_development(tmp_path))[0]["scoring"] == {"rows": "kfold", "folds": 5}
    # Each fold has at least two of the rarest class, if there are enough for two folds.
    for positives, folds in ((3, 2), (5, 2), (7, 3), (10, 5)):
        few = np.zeros((30, 1), np.uint8)
        few[:positives] = 1
        rare = _development(tmp_path, (30, 0, 0), train_labels=few)
        assert suited_table(rare)[0]["scoring"] == {"rows": "kfold", "folds": folds}
    many = _development(tmp_path, (6000, 100, 0), shape=(2, 2))
    assert suited_table(many)[0]["scoring"] == {"rows": "official"}
    without_val = _development(tmp_path, (6001, 0, 0), shape=(2, 2))
    assert suited_table(without_val)[0]["scoring"]["rows"] == "holdout"


def test_batches_are_at_most_half_of_the_training_part(tmp_path: Path) -> None:
    for count in (12, 90, 400):
        table, _ = suited_table(_development(tmp_path, (count, 0, 0)))
        largest = max(table["space"]["batch_size"]["choices"])
        assert largest <= count * 0.8 / 2
        assert all(start["batch_size"] <= largest for start in table["start"])


@pytest.mark.parametrize("hours", [0.5, 8.0, 100.0])
def test_the_budget_fits_the_hours(hours: float, tmp_path: Path) -> None:
    development = _development(tmp_path)
    table, _ = suited_table(development)
    reasons = fit_budget(table, development, 3.0, 0, 2, hours)
    assert _hours(table, development, 3.0, 2) <= hours
    assert 40 <= table["budget"]["trials"] <= 200 or hours < 1
    assert unmentioned(reasons[0], f"--hours {hours:g}") == []


def test_a_slower_machine_gets_fewer_epochs_then_one_part_and_is_told(tmp_path: Path) -> None:
    development = _development(tmp_path)
    found = []
    for seconds in (0.1, 16.0, 40.0, 4000.0):
        table, _ = suited_table(development)
        reasons = fit_budget(table, development, seconds, 0, 1, 8.0)
        found.append((table["scoring"]["rows"], table["budget"]["epochs"], table["budget"]["trials"]))
        assert any("too slow" in reason for reason in reasons) == (seconds == 4000.0)
        assert any("resnet18_narrow" in reason for reason in reasons) == (seconds != 0.1)
    assert found[0] == ("kfold", 45, 200)
    assert found[1][0] == "kfold"
    assert found[1][1] < 45
    assert found[2][0] == "holdout"
    # Baselines, start points, and something to search.
    assert found[3][2] == 6


def test_the_sampler_has_its_turn_in_a_short_study(tmp_path: Path) -> None:
    development = _development(tmp_path)
    for seconds, hours in ((0.1, 8.0), (3.0, 0.7), (3.0, 0.5), (4000.0, 8.0)):
        table, _ = suited_table(development)
        shipped = table["search"]["startup_trials"]
        fit_budget(table, development, seconds, 0, 2, hours)
        trials, startup = table["budget"]["trials"], table["search"]["startup_trials"]
        assert startup == min(shipped, max(5, trials // 3))
        assert startup < trials


def test_a_gpu_trains_all_folds_one_by_one(tmp_path: Path) -> None:
    development = _development(tmp_path)
    one, four = suited_table(development)[0], suited_table(development)[0]
    fit_budget(one, development, 3.0, 1, 8, 8.0)
    fit_budget(four, development, 3.0, 4, 8, 8.0)
    assert (four["budget"]["epochs"], four["budget"]["trials"]) > (one["budget"]["epochs"], one["budget"]["trials"])


@pytest.mark.slow
def test_few_samples_of_several_labels_are_trained_as_long_as_those_of_one(tmp_path: Path) -> None:
    several, one = (suited_table(_development(tmp_path, labels=labels))[0] for labels in (3, 1))
    assert several["budget"]["epochs"] == one["budget"]["epochs"]
    many = suited_table(_development(tmp_path, (6000, 100, 0), shape=(2, 2), labels=3))[0]
    assert many["budget"]["epochs"] < one["budget"]["epochs"]
