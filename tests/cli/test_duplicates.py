"""`hpo data duplicates`: counts, groups and a picture of near-duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hpo.cli.render.contact_sheet import draw_pairs
from hpo.data.duplicates import near_duplicates
from hpo.data.survey import survey
from tests.arrays import made_development
from tests.cli.run import hpo_here
from tests.own_files import own_file


def test_counts_of_the_json_hang_together(tmp_path: Path) -> None:
    run = hpo_here("data", "duplicates", "digits", "--threshold", "0.97", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (found["samples"], found["threshold"], found["grouped_from"]) == (1437, 0.97, 0.97)
    assert found["within_train"] + found["within_val"] + found["across"] == found["levels"][-1]["pairs"] == 98
    assert sum(len(group["samples"]) for group in found["groups"]) == found["samples_in_groups"]
    sizes = [len(group["samples"]) for group in found["groups"]]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 == found["grouped_fold_crossings"] < found["fold_crossings"] < 1


def test_a_file_of_ones_own_has_a_page_too(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz")
    run = hpo_here("data", "duplicates", "mine.npz", "--threshold", "0.9", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "from a correlation of 0.95 on" in run.stdout


def test_too_few_samples_for_five_folds_are_no_hindrance(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz", train_labels=(np.arange(20) < 3).astype(np.uint8), rows=(20, 0, 0))
    run = hpo_here("data", "duplicates", "mine.npz", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "too few" in run.stdout


@pytest.mark.slow
def test_the_page_shows_the_counts_and_the_groups(tmp_path: Path) -> None:
    run = hpo_here("data", "duplicates", "digits", "--threshold", "0.97", "--picture", "pairs.png", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for fact in ("98", "54", "135", "train 240 (0)", "0.97"):
        assert fact in run.stdout
    assert "pairs.png" in run.stderr
    height, width, _ = imread(tmp_path / "pairs.png").shape
    assert height > width > 1000


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("nothing",), 2), (("digits", "--threshold", "1.5"), 2), (("digits", "--picture", "no/such/folder.png"), 9)],
)
def test_what_cannot_be_done_is_refused_with_its_exit_code(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    assert hpo_here("data", "duplicates", *arguments, cwd=tmp_path).returncode == code


@pytest.mark.parametrize("command", ["duplicates", "describe"])
def test_a_place_for_the_picture_is_looked_for_before_pairs_are(command: str, tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz")
    run = hpo_here("data", command, "mine.npz", "--picture", "no/such/folder.png", cwd=tmp_path)
    assert run.returncode == 9
    assert "pairs" not in run.stderr


@pytest.mark.slow
def test_volumes_of_several_labels_are_drawn_by_their_middle_slice(tmp_path: Path) -> None:
    development = made_development(dimensions=3, labels=2, rows=(20, 8))
    pairs = near_duplicates(np.repeat(development.images[:14], 2, axis=0)).ordered()
    assert draw_pairs(development, pairs, tmp_path / "pairs.png") == 14
    assert imread(tmp_path / "pairs.png").ndim == 3


def test_pairs_of_different_labels_and_of_each_split_are_counted() -> None:
    made = made_development(rows=(40, 12))
    images = made.images.copy()
    images[1], images[41], images[50] = images[0], images[0], images[45]
    labels = made.labels.copy()
    labels[[0, 41]], labels[1] = 1, 0
    development = type(made)(made.dataset, images, labels, made.is_validation, made.md5)
    counts, pairs = survey(development, 0.95)
    assert len(pairs) == 4
    assert (counts.within_train, counts.across, counts.within_val) == (1, 2, 1)
    assert [(level.correlation, level.pairs) for level in counts.levels] == [(1.0, 4), (0.999, 4), (0.99, 4), (0.95, 4)]
    assert counts.levels[0].label_conflicts == 2 + int(labels[45, 0] != labels[50, 0])
    assert [group.samples for group in counts.groups] == [("train 0", "train 1", "val 1"), ("val 5", "val 10")]
    assert (counts.official_crossings, counts.samples_in_groups) == (1, 5)


@pytest.mark.realdata
def test_groups_end_the_crossings_of_real_breast_folds(tmp_path: Path, data_dir: Path) -> None:
    run = hpo_here("data", "duplicates", "breast", "--json", "--data-dir", str(data_dir), cwd=tmp_path)
    found = json.loads(run.stdout)
    assert (len(found["groups"]), found["samples_in_groups"], found["official_crossings"]) == (97, 218, 31)
    assert [level["pairs"] for level in found["levels"]] == [0, 14, 98, 149]
    assert 0.28 < found["fold_crossings"] < 0.31
    assert found["grouped_fold_crossings"] == 0
