"""Data that cannot train or score a study are refused before it is created; what speaks against others is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.development import Development, load_development
from hpo.data.folds import Fold, scoring_folds
from hpo.errors import DataError, StudyNotFoundError
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.launch.backends.nowhere import NoWorkers
from hpo.launch.session import launch
from hpo.launch.suitability import check_suitability
from hpo.search.study import Study, open_named_study
from hpo.study.files import default_spec
from hpo.study.spec import Scoring
from tests.mention import unmentioned
from tests.own_files import own_file
from tests.plugins import kept_registries


def check(path: Path, *overrides: str) -> tuple[str, ...]:
    spec = default_spec(str(path), overrides)
    return check_suitability(load_development(spec.data, path.parent, spec.scoring.groups), spec)


def with_positives(path: Path, positives: int, count: int = 100) -> Path:
    labels = (np.arange(count) < positives).astype(np.uint8)[:, None]
    return own_file(path, (count, 0, 0), train_labels=labels)


def equal_images(value: int, count: int = 60) -> dict[str, Any]:
    return {"train_images": np.full((count, 6, 6), value, dtype=np.uint8)}


@pytest.mark.parametrize("value", [0, 128])
def test_images_that_are_all_equal_are_refused(tmp_path: Path, value: int) -> None:
    with pytest.raises(DataError):
        check(own_file(tmp_path / "mine.npz", (60, 0, 0), **equal_images(value)))


def test_one_image_that_differs_is_enough_to_begin_but_the_others_are_told(tmp_path: Path) -> None:
    images = equal_images(255)["train_images"]
    images[7, 0, 0] = 0
    path = own_file(tmp_path / "mine.npz", (60, 0, 0), train_images=images)
    notes = check(path, "scoring.groups=none")
    assert any("59" in note for note in notes)


@pytest.mark.parametrize("rows", ["kfold", "holdout", "reshuffled"])
def test_the_advice_for_too_few_samples_of_a_class_is_a_scoring_that_they_bear(tmp_path: Path, rows: str) -> None:
    path = with_positives(tmp_path / "mine.npz", 3) if rows == "kfold" else with_positives(tmp_path / "m.npz", 2, 4)
    asked = (f"scoring.rows={rows}", "fixed.resplit=none", "scoring.share=0.05", "scoring.groups=none")
    with pytest.raises(DataError) as caught:
        check(path, *asked)
    (advised,) = re.findall(r"--set (scoring\.\S+)", str(caught.value))
    check(path, *asked, advised)


@pytest.mark.parametrize("rows", ["holdout", "reshuffled"])
def test_few_positives_in_the_only_validation_part_are_not_told_of_folds(tmp_path: Path, rows: str) -> None:
    path = with_positives(tmp_path / "mine.npz", 20)
    notes = check(path, f"scoring.rows={rows}", "scoring.share=0.2", "scoring.groups=none", "fixed.resplit=none")
    assert [note for note in notes if "about 4 in a validation part" in note]
    assert not [note for note in notes if "each of" in note or "repeat the folds" in note]


def test_without_any_scoring_that_a_class_suffices_for_none_is_advised(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        check(with_positives(tmp_path / "mine.npz", 1))
    assert "--set" not in str(caught.value)


def test_one_patient_with_all_positives_is_refused_however_many_images_there_are(tmp_path: Path) -> None:
    groups = np.minimum(np.arange(60) // 2 * 2 + 1, np.where(np.arange(60) % 2, 1, 100))
    path = own_file(tmp_path / "mine.npz", (60, 0, 0), train_groups=groups)
    with pytest.raises(DataError):
        check(path)
    check(own_file(tmp_path / "mine.npz", (60, 0, 0)))


def test_a_resplit_that_the_samples_do_not_bear_is_told_or_refused_if_there_is_no_other(tmp_path: Path) -> None:
    path = with_positives(tmp_path / "mine.npz", 2, 40)
    scored = ("scoring.folds=2", "scoring.groups=none")
    notes = check(path, *scored, "space.resplit.choices=['none', 'holdout']")
    assert any("holdout" in note for note in notes)
    with pytest.raises(DataError):
        check(path, *scored, "fixed.resplit=holdout")
    assert not any("holdout" in note for note in check(path, *scored, "fixed.resplit=none"))


@pytest.mark.parametrize("searched", ["{low = 0.05, high = 0.4}", "{choices = [0.05, 0.4]}"])
def test_the_ends_of_a_searched_share_are_tried(tmp_path: Path, searched: str) -> None:
    patients = np.arange(200) // 10 + 1
    labels = (patients % 4 == 0).astype(np.uint8)[:, None]
    path = own_file(
        *(tmp_path / "mine.npz", (200, 2, 0)),
        train_labels=labels,
        train_groups=patients,
        val_groups=np.array([300, 301]),
    )
    asked = ("scoring.folds=2", "space.resplit.choices=['none', 'holdout', 'official']")
    notes = check(path, *asked, f"space.resplit_share={searched}")
    (note,) = [note for note in notes if "resplit_share" in note]
    assert unmentioned(note, "holdout", "resplit_share = 0.05") == []
    assert any("official" in note for note in notes), "it has no share, so it fails at every one"
    assert not any("resplit_share" in note for note in check(path, *asked, "fixed.resplit_share=0.4"))


def test_shipped_data_are_not_warned_of(tmp_path: Path) -> None:
    for name in ("digits", "digits-hard"):
        spec = default_spec(name)
        assert check_suitability(load_development(spec.data, tmp_path, spec.scoring.groups), spec) == ()


class Failing(NoWorkers):
    """A backend that finds only while it starts workers what is wrong with the data."""

    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        raise DataError("too few samples")


def test_a_launch_that_is_refused_for_its_data_leaves_no_study(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    path = own_file(tmp_path / "mine.npz", (60, 0, 0), **equal_images(0))
    request = LaunchRequest("s", storage, tmp_path)
    with pytest.raises(DataError):
        launch(default_spec(str(path)), request, on="none")
    assert not (tmp_path / "s.db").exists()
    with kept_registries():
        BACKENDS.register("failing", Failing)
        with pytest.raises(DataError):
            launch(default_spec("digits"), request, on="failing")
    with pytest.raises(StudyNotFoundError):
        open_named_study("s", storage)


def test_data_are_refused_only_where_no_new_division_of_them_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_in_most_trials(data: Development, scoring: Scoring, trial_seed: int) -> tuple[Fold, ...]:
        if trial_seed != 3:
            raise DataError("a part lacks a class")
        return scoring_folds(data, scoring, trial_seed)

    path = with_positives(tmp_path / "mine.npz", 40)
    asked = ("scoring.rows=reshuffled", "fixed.resplit=none", "scoring.groups=none")
    monkeypatch.setattr("hpo.launch.suitability.scoring_folds", fails_in_most_trials)
    check(path, *asked)
    with pytest.raises(DataError):
        check(path, "scoring.rows=holdout", *asked[1:])
