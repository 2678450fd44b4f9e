"""How the training part of a fold is divided into a training set and a selection set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.data.resplit import Split, resplit
from hpo.errors import DataError
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from tests.arrays import made_development
from tests.mention import unmentioned

DIVIDING = ["holdout", "official", "balanced", "grouped", "importance"]


@pytest.fixture
def many() -> Development:
    """400 rows, 80 of them official validation rows, 20 % positive."""
    return made_development(rows=(320, 80), share=0.2)


@pytest.fixture
def fit(many: Development) -> np.ndarray:
    return scoring_folds(many, Scoring(rows="kfold"), 0)[0].training


def divided(development: Development, fit: np.ndarray, rule: str, share: float = 0.15, seed: int = 0) -> Split:
    return resplit(development, fit, TrainConfig(resplit=rule, resplit_share=share), seed)


def test_none_trains_on_the_whole_part(many: Development, fit: np.ndarray) -> None:
    split = divided(many, fit, "none")
    assert np.array_equal(split.training, fit)
    assert split.selection is None


@pytest.mark.parametrize("rule", DIVIDING)
def test_training_and_selection_rows_are_the_fit_rows_once_each_and_sorted(
    rule: str, many: Development, fit: np.ndarray
) -> None:
    split = divided(many, fit, rule)
    assert split.selection is not None
    assert np.array_equal(np.sort(np.concatenate([split.training, split.selection])), fit)
    assert (np.diff(split.training) > 0).all()
    assert (np.diff(split.selection) > 0).all()


@pytest.mark.parametrize("rule", ["none", *DIVIDING])
def test_no_rule_selects_or_trains_on_scoring_rows(rule: str, many: Development) -> None:
    for fold in scoring_folds(many, Scoring(rows="kfold"), 0):
        split = divided(many, fold.training, rule)
        used = split.training if split.selection is None else np.concatenate([split.training, split.selection])
        assert not np.isin(used, fold.validation).any()


def test_holdout_selects_the_asked_share_with_the_same_share_of_positives(many: Development, fit: np.ndarray) -> None:
    selection = divided(many, fit, "holdout", share=0.25).selection
    assert selection is not None
    assert selection.size == 80
    assert many.labels[selection].sum() == 16


def test_official_selects_the_official_validation_samples_of_the_part(many: Development, fit: np.ndarray) -> None:
    split = divided(many, fit, "official")
    assert split.selection is not None
    assert many.is_validation[split.selection].all()
    assert not many.is_validation[split.training].any()


def test_balanced_selects_as_many_positives_as_negatives(many: Development, fit: np.ndarray) -> None:
    selection = divided(many, fit, "balanced", share=0.15).selection
    assert selection is not None
    # 0.15 of 320 samples.
    assert selection.size == 48
    assert many.labels[selection].sum() == 24


def test_balanced_leaves_half_of_the_rarer_class_to_train_on(many: Development, fit: np.ndarray) -> None:
    split = divided(many, fit, "balanced", share=0.5)
    assert split.selection is not None
    assert many.labels[split.selection].sum() == 32
    assert split.selection.size == 64
    assert many.labels[split.training].sum() == 32


def test_balanced_of_several_labels_is_refused(development_multi_label: Development) -> None:
    with pytest.raises(DataError) as refused:
        divided(development_multi_label, np.arange(200), "balanced")
    assert unmentioned(refused.value, "balanced", "made", 14) == []


def test_holdout_of_several_labels_gives_selection_rows_every_label(development_multi_label: Development) -> None:
    selection = divided(development_multi_label, np.arange(200), "holdout").selection
    assert selection is not None
    assert (development_multi_label.labels[selection].sum(axis=0) >= 2).all()


@pytest.mark.parametrize("rule", ["holdout", "balanced"])
def test_the_seed_alone_decides_the_division(rule: str, many: Development, fit: np.ndarray) -> None:
    selections = [divided(many, fit, rule, seed=seed).selection for seed in (3, 3, 4)]
    assert np.array_equal(selections[0], selections[1])  # type: ignore[arg-type]
    assert not np.array_equal(selections[0], selections[2])  # type: ignore[arg-type]


def test_official_without_validation_rows_among_the_fit_rows_is_refused(many: Development) -> None:
    with pytest.raises(DataError) as refused:
        divided(many, np.flatnonzero(~many.is_validation), "official")
    assert unmentioned(refused.value, "resplit", "official", "made", 0) == []


def test_one_positive_is_too_few_to_divide(many: Development) -> None:
    labels = np.zeros_like(many.labels)
    labels[0] = 1
    lone = dataclasses.replace(many, labels=labels)
    for rule in DIVIDING:
        with pytest.raises(DataError) as refused:
            divided(lone, np.arange(400), rule)
        assert unmentioned(refused.value, "resplit", rule, "made") == []


@pytest.fixture
def paired(many: Development) -> Development:
    """`many` in groups of five samples, over the border of train and official validation samples."""
    groups = np.arange(len(many)) % 80
    groups[300:310] = np.arange(300, 310)
    return dataclasses.replace(many, groups=groups)


def test_grouped_selects_on_the_official_validation_samples_and_all_of_their_groups(paired: Development) -> None:
    assert paired.groups is not None
    part = np.setdiff1d(np.arange(400), np.arange(0, 400, 3))
    split = divided(paired, part, "grouped")
    official = divided(paired, part, "official")
    assert split.selection is not None
    assert official.selection is not None
    assert np.isin(official.selection, split.selection).all()
    assert split.selection.size > official.selection.size
    assert not np.isin(paired.groups[split.training], paired.groups[split.selection]).any()
    assert np.isin(paired.groups[split.selection], paired.groups[official.selection]).all()


def test_grouped_is_official_where_no_group_has_two_samples(many: Development, fit: np.ndarray) -> None:
    alone = dataclasses.replace(many, dataset=dataclasses.replace(many.dataset, near_duplicates=None))
    one, other = (divided(alone, fit, rule) for rule in ("grouped", "official"))
    assert np.array_equal(one.selection, other.selection)


def test_importance_is_holdout_with_weights_by_which_each_group_counts_as_one(paired: Development) -> None:
    one, other = (divided(paired, np.arange(400), rule, 0.4) for rule in ("importance", "holdout"))
    assert paired.groups is not None
    assert one.selection is not None
    assert one.weights is not None
    assert np.array_equal(one.selection, other.selection)
    assert other.weights is None
    groups = paired.groups[one.selection]
    for group in np.unique(groups):
        assert one.weights[groups == group].sum() == pytest.approx(1.0)
        assert np.unique(one.weights[groups == group]).size == 1
    assert np.unique(one.weights).size > 1
