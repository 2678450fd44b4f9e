"""Folds: which rows are scored on, and that nothing but the study's seed decides it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hpo.data.development import Development, load_development
from hpo.data.folds import Fold, scoring_folds
from hpo.data.stratify import stratified_split
from hpo.errors import DataError
from hpo.study.catalogue import find_dataset
from hpo.study.spec import Scoring
from tests.arrays import made_development
from tests.mention import unmentioned

EVERY_RULE = [
    Scoring(rows="official"),
    Scoring(rows="holdout"),
    Scoring(rows="kfold", folds=3, repeats=2),
    Scoring(rows="reshuffled"),
]


def same(one: tuple[Fold, ...], other: tuple[Fold, ...]) -> bool:
    return all(np.array_equal(a.validation, b.validation) for a, b in zip(one, other, strict=True))


def relabelled(development: Development, positives: int) -> Development:
    labels = np.zeros_like(development.labels)
    labels[:positives] = 1
    return dataclasses.replace(development, labels=labels)


@pytest.mark.parametrize("scoring", EVERY_RULE, ids=lambda scoring: scoring.rows)
@pytest.mark.parametrize("labels", [1, 14])
def test_fit_and_scoring_rows_are_all_rows_once_each_and_sorted(scoring: Scoring, labels: int) -> None:
    development = made_development(labels=labels, rows=(160, 40), share=0.15)
    for fold in scoring_folds(development, scoring, 1):
        assert np.array_equal(np.sort(np.concatenate([fold.training, fold.validation])), np.arange(200))
        assert (np.diff(fold.training) > 0).all()
        assert (np.diff(fold.validation) > 0).all()
        assert fold.training.dtype == fold.validation.dtype == np.int64


def test_official_scores_the_official_validation_rows(development: Development) -> None:
    (fold,) = scoring_folds(development, Scoring(rows="official"), 0)
    assert fold.validation.tolist() == list(range(40, 52))


def test_holdout_scores_a_share_with_the_same_share_of_positives() -> None:
    development = made_development(rows=(160, 40), share=0.3)
    (fold,) = scoring_folds(development, Scoring(rows="holdout", share=0.25), 0)
    assert fold.validation.size == 50
    assert development.labels[fold.validation].sum() == 15


def test_the_folds_of_one_repeat_are_consecutive_and_cover_every_row_once(development: Development) -> None:
    folds = scoring_folds(development, Scoring(rows="kfold", folds=4, repeats=3), 0)
    assert len(folds) == 12
    for repeat in range(3):
        rows = np.concatenate([fold.validation for fold in folds[4 * repeat : 4 * repeat + 4]])
        assert np.array_equal(np.sort(rows), np.arange(len(development)))


def test_repeats_are_divided_differently(development: Development) -> None:
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2, repeats=2), 0)
    assert not same(folds[:2], folds[2:])


def test_more_repeats_leave_the_first_ones_as_they_were(development: Development) -> None:
    once = scoring_folds(development, Scoring(rows="kfold", folds=3, repeats=1), 0)
    assert same(once, scoring_folds(development, Scoring(rows="kfold", folds=3, repeats=2), 0)[:3])


@pytest.mark.parametrize("scoring", EVERY_RULE[:3], ids=lambda scoring: scoring.rows)
def test_all_trials_of_a_study_are_scored_on_the_same_rows(scoring: Scoring, development: Development) -> None:
    assert same(scoring_folds(development, scoring, 1), scoring_folds(development, scoring, 2**63))


def test_reshuffled_draws_other_rows_for_each_trial_and_the_same_for_the_same_trial(development: Development) -> None:
    scoring = Scoring(rows="reshuffled")
    assert same(scoring_folds(development, scoring, 7), scoring_folds(development, scoring, 7))
    drawn = {tuple(scoring_folds(development, scoring, seed)[0].validation) for seed in range(20)}
    assert len(drawn) == 20


@pytest.mark.parametrize("rule", ["holdout", "kfold", "reshuffled"])
def test_another_seed_of_the_study_divides_the_rows_differently(rule: str, development: Development) -> None:
    one, other = (scoring_folds(development, Scoring(rows=rule, seed=seed), 0) for seed in (0, 1))
    assert not same(one, other)


def test_numpys_global_generator_is_neither_used_nor_moved(development: Development) -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    scoring_folds(development, Scoring(rows="kfold"), 0)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]


def test_scoring_rows_without_a_class_are_refused_with_the_numbers(development: Development) -> None:
    with pytest.raises(DataError) as refused:
        scoring_folds(relabelled(development, 5), Scoring(rows="official"), 0)
    assert unmentioned(refused.value, "official", 0, 12) == []


def test_more_folds_than_positives_are_refused_with_the_numbers(development: Development) -> None:
    with pytest.raises(DataError, match=r"\b[1-5] of 5\b.*\b0\b.*\b1[01]\b"):
        scoring_folds(relabelled(development, 3), Scoring(rows="kfold", folds=5), 0)


def test_as_many_positives_as_folds_are_dealt_one_to_each(development: Development) -> None:
    few = relabelled(development, 5)
    assert [few.labels[f.validation].sum() for f in scoring_folds(few, Scoring(rows="kfold", folds=5), 0)] == [1] * 5


@pytest.mark.parametrize("positives", [2, 50])
def test_two_rows_of_the_rarer_class_go_to_both_sides_of_a_small_holdout(
    positives: int, development: Development
) -> None:
    few = relabelled(development, positives)
    (fold,) = scoring_folds(few, Scoring(rows="holdout", share=0.05), 0)
    assert 0 < few.labels[fold.validation].sum() < fold.validation.size
    assert 0 < few.labels[fold.training].sum() < fold.training.size


def test_every_one_of_fourteen_labels_has_its_share_in_every_fold() -> None:
    # Shares of positives in ChestMNIST, from 0.2 % (hernia) to 18 % (infiltration), made to occur together.
    generator = np.random.default_rng(0)
    shares = np.array([0.1, 0.025, 0.12, 0.18, 0.05, 0.056, 0.011, 0.048, 0.04, 0.02, 0.022, 0.015, 0.03, 0.002])
    illness = generator.gamma(1.0, size=(20_000, 1))
    labels = (generator.random((20_000, 14)) < shares * illness).astype(np.uint8)
    counts = np.array([labels[rows].sum(axis=0) for rows in stratified_split(labels, [0.2] * 5, generator)])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 2
    assert counts.min() > 0


def test_sizes_of_folds_differ_by_one_row_at_most() -> None:
    labels = np.arange(103, dtype=np.uint8)[:, None] % 3 // 2
    sizes = [rows.size for rows in stratified_split(labels, [1 / 7] * 7, np.random.default_rng(0))]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == 103


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["breast", "pneumonia", "adrenal3d"])
def test_five_folds_of_real_rows_differ_by_one_positive_at_most(name: str, data_dir: Path) -> None:
    development = load_development(find_dataset(name), data_dir)
    for groups, apart in (("none", 1), ("auto", 2)):
        folds = scoring_folds(development, Scoring(rows="kfold", groups=groups), 0)
        positives = [int(development.labels[fold.validation].sum()) for fold in folds]
        assert max(positives) - min(positives) <= apart
