"""Folds and resplits that keep groups whole, and stay balanced."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.data.development import Development, load_development
from hpo.data.folds import official_crossings, scoring_folds, separated
from hpo.data.resplit import resplit
from hpo.data.stratify import stratified_split
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from tests.arrays import made_development
from tests.mention import unmentioned

DRAWN = [Scoring(rows="holdout"), Scoring(rows="kfold", folds=3, repeats=2), Scoring(rows="reshuffled")]


def patients(count: int, seed: int = 0, most: int = 5) -> NDArray[np.int64]:
    """Groups of one to `most` of `count` samples, at random places."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, most + 1, size=count)
    return random.permutation(np.repeat(np.arange(count), sizes)[:count])


def with_groups(development: Development, groups: NDArray[np.int64] | None) -> Development:
    return dataclasses.replace(development, groups=groups)


@pytest.mark.parametrize("scoring", DRAWN, ids=lambda scoring: scoring.rows)
@pytest.mark.parametrize("labels", [1, 14])
def test_no_group_lies_on_two_sides_of_a_fold(scoring: Scoring, labels: int) -> None:
    development = with_groups(made_development(labels=labels, rows=(320, 80), share=0.15), patients(400))
    for fold in scoring_folds(development, scoring, 1):
        assert separated(development.groups, fold.validation, fold.training) == 0
        assert np.array_equal(np.sort(np.concatenate([fold.training, fold.validation])), np.arange(400))


def test_official_validation_samples_stay_and_what_crosses_is_counted() -> None:
    groups = np.arange(52)
    groups[[40, 41, 50]] = [3, 3, 49]
    development = with_groups(made_development(), groups)
    (fold,) = scoring_folds(development, Scoring(rows="official"), 0)
    assert fold.validation.tolist() == list(range(40, 52))
    assert separated(groups, fold.validation, fold.training) == 2


def test_official_scoring_says_how_many_samples_cross_and_drawn_folds_have_nothing_to_say() -> None:
    groups = np.arange(52)
    groups[[40, 41, 50]] = [3, 3, 49]
    development = with_groups(made_development(), groups)
    assert unmentioned(official_crossings(development, Scoring(rows="official")), 2, 12) == []
    assert official_crossings(development, Scoring()) == ""
    assert official_crossings(made_development(), Scoring(rows="official")) == ""


@pytest.mark.parametrize("scoring", DRAWN, ids=lambda scoring: scoring.rows)
@pytest.mark.parametrize("labels", [1, 14])
def test_without_groups_of_several_samples_folds_are_those_of_no_groups_at_all(scoring: Scoring, labels: int) -> None:
    development = made_development(labels=labels, rows=(160, 40), share=0.15)
    single = with_groups(development, np.random.default_rng(0).permutation(200))
    for one, other in zip(scoring_folds(development, scoring, 1), scoring_folds(single, scoring, 1), strict=True):
        np.testing.assert_array_equal(one.validation, other.validation)


@pytest.mark.parametrize("scoring", DRAWN, ids=lambda scoring: scoring.rows)
def test_a_study_without_groups_has_the_folds_that_it_had(scoring: Scoring) -> None:
    development = made_development(rows=(160, 40), share=0.15)
    single = scoring.model_copy(update={"groups": "none"})
    before = scoring_folds(development, single, 1)
    for one, other in zip(before, scoring_folds(with_groups(development, patients(200)), single, 1), strict=True):
        np.testing.assert_array_equal(one.validation, other.validation)


def test_samples_are_divided_as_before_there_were_groups() -> None:
    # The digest was made by the commit before groups.
    development, digest = made_development(rows=(160, 40), share=0.3), hashlib.sha256()
    for rule in ("official", "holdout", "kfold", "reshuffled"):
        for fold in scoring_folds(development, Scoring(rows=rule, groups="none"), 7):
            digest.update(fold.validation.tobytes())
    for rule in ("holdout", "official", "balanced"):
        selection = resplit(development, np.arange(0, 200, 3), TrainConfig(resplit=rule), 5).selection
        assert selection is not None
        digest.update(selection.tobytes())
    assert digest.hexdigest() == "b4f601a9f3ad47d013617faa2973c9d740fa6face17a37ff9cd7d2c91eb2d9b5"


def test_grouped_folds_depend_on_the_seed_and_on_nothing_else() -> None:
    development = with_groups(made_development(rows=(160, 40)), patients(200))

    def parts(seed: int) -> list[list[int]]:
        return [fold.validation.tolist() for fold in scoring_folds(development, Scoring(seed=seed), 0)]

    assert parts(0) == parts(0) != parts(1)


@pytest.mark.parametrize(("most", "apart"), [(2, 2), (5, 2), (12, 6)])
def test_folds_of_groups_have_the_size_and_the_positives_of_single_samples(most: int, apart: int) -> None:
    development = made_development(rows=(480, 120), share=0.27)
    for seed in range(5):
        groups = patients(600, seed, most)
        parts = stratified_split(development.labels, [0.2] * 5, np.random.default_rng(seed), groups)
        sizes = [part.size for part in parts]
        positives = [int(development.labels[part].sum()) for part in parts]
        # Single samples make up what groups leave uneven; beside groups of up to 12 there are few of them.
        assert max(sizes) - min(sizes) <= apart
        assert max(positives) - min(positives) <= 2


def test_folds_of_groups_alone_are_even_too() -> None:
    # Patients of two to four images, all of one class.
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), random.integers(2, 5, size=200))
    labels = (random.random(200) < 0.3).astype(np.uint8)[groups][:, None]
    parts = stratified_split(labels, [0.2] * 5, random, groups)
    wanted = labels.sum() / 5
    assert all(abs(part.size - groups.size / 5) <= 4 for part in parts)
    assert all(abs(int(labels[part].sum()) - wanted) <= 4 for part in parts)


def test_every_one_of_fourteen_labels_is_spread_over_folds_of_groups() -> None:
    random = np.random.default_rng(0)
    shares = np.array([0.1, 0.025, 0.12, 0.18, 0.05, 0.056, 0.011, 0.048, 0.04, 0.02, 0.022, 0.015, 0.03, 0.002])
    labels = (random.random((6000, 14)) < shares).astype(np.uint8)
    parts = stratified_split(labels, [0.2] * 5, random, patients(6000))
    counts = np.array([labels[part].sum(axis=0) for part in parts])
    assert (np.abs(counts - labels.sum(axis=0) / 5) <= 3).all()
    assert counts.min() >= 1


@pytest.mark.parametrize("rule", ["holdout", "balanced"])
def test_a_selection_set_keeps_groups_whole(rule: str) -> None:
    development = with_groups(made_development(rows=(320, 80), share=0.3), patients(400))
    fold = scoring_folds(development, Scoring(), 0)[0]
    split = resplit(development, fold.training, TrainConfig(resplit=rule, resplit_share=0.2), 3)
    assert split.selection is not None
    assert separated(development.groups, split.selection, split.training) == 0
    assert np.array_equal(np.sort(np.concatenate([split.training, split.selection])), fold.training)
    assert abs(split.selection.size - 64) <= 2
    if rule == "balanced":
        assert abs(2 * int(development.labels[split.selection].sum()) - split.selection.size) <= 1


@pytest.mark.parametrize("rule", ["holdout", "balanced"])
def test_a_selection_set_without_groups_is_that_of_before(rule: str) -> None:
    development = made_development(rows=(320, 80), share=0.3)
    part, config = np.arange(0, 400, 2), TrainConfig(resplit=rule)
    single = with_groups(development, np.arange(400))
    one, other = (resplit(each, part, config, 0).selection for each in (development, single))
    np.testing.assert_array_equal(one, other)


@pytest.mark.realdata
def test_near_duplicates_of_real_breast_samples_cross_the_folds_no_more(data_dir: Path) -> None:
    development = load_development(find_dataset("breast"), data_dir)
    crossing = {}
    for rule in ("none", "auto"):
        folds = [fold for seed in range(4) for fold in scoring_folds(development, Scoring(groups=rule, seed=seed), 0)]
        crossing[rule] = sum(separated(development.groups, fold.validation, fold.training) for fold in folds)
        negatives = [int((1 - development.labels[fold.validation]).sum()) for fold in folds]
        assert set(negatives) == {33, 34}
    assert 0.27 < crossing["none"] / (4 * 624) < 0.32
    assert crossing["auto"] == 0
