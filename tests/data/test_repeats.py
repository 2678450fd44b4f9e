"""Near-duplicates in the training set of a fold, and groups in a study without them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hpo.data.development import Development, load_development
from hpo.data.repeats import near_duplicate_groups, sample_groups, without_repeats
from hpo.data.resplit import resplit
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from tests.arrays import made_development


@pytest.fixture
def repeating() -> Development:
    """52 samples; 1, 4 and 45 are one image, 4 with another label, and so are 7 and 9."""
    made = made_development()
    images, labels = made.images.copy(), made.labels.copy()
    images[[4, 45]], images[9] = images[1], images[7]
    labels[[1, 45]], labels[4], labels[[7, 9]] = 1, 0, 0
    dataset = dataclasses.replace(made.dataset, near_duplicates=0.99)
    # Groups of a file, which say nothing about equal images.
    patients = np.arange(52) // 2 * 2
    return Development(dataset, images, labels, made.is_validation, "1" * 32, patients)


def split_of(development: Development, **settings: Any) -> Any:
    return resplit(development, np.arange(len(development)), TrainConfig(**settings), 0)


def test_near_duplicates_are_found_whatever_the_groups_of_the_file(repeating: Development) -> None:
    groups = near_duplicate_groups(repeating)
    assert [int(groups[sample]) for sample in (1, 4, 45, 7, 9, 8)] == [1, 1, 1, 7, 7, 8]
    assert near_duplicate_groups(repeating) is groups
    assert sample_groups(repeating) is repeating.groups
    assert sample_groups(dataclasses.replace(repeating, groups=None)).tolist() == groups.tolist()


def test_a_dataset_of_similar_images_has_no_near_duplicates(repeating: Development) -> None:
    similar = dataclasses.replace(repeating, dataset=dataclasses.replace(repeating.dataset, near_duplicates=None))
    assert near_duplicate_groups(similar).tolist() == list(range(52))


def test_the_first_of_each_group_with_the_same_labels_is_kept(repeating: Development) -> None:
    left = set(range(52)) - set(without_repeats(repeating, np.arange(52)).tolist())
    assert left == {45, 9}
    # The first among the samples asked for.
    assert without_repeats(repeating, np.array([4, 9, 45])).tolist() == [4, 9, 45]
    assert split_of(repeating, duplicates="remove").training.tolist() == [n for n in range(52) if n not in left]


def test_duplicates_are_kept_by_default(repeating: Development) -> None:
    assert split_of(repeating).training.tolist() == list(range(52))


def test_the_selection_set_does_not_depend_on_duplicates(repeating: Development) -> None:
    kept, removed = (split_of(repeating, resplit="holdout", duplicates=rule) for rule in ("keep", "remove"))
    assert np.array_equal(kept.selection, removed.selection)
    assert np.array_equal(removed.training, without_repeats(repeating, kept.training))


def test_removal_on_real_images_leaves_one_of_each_group(data_dir: Any) -> None:
    development = load_development(find_dataset("breast"), data_dir)
    kept = split_of(development, duplicates="remove").training
    groups = near_duplicate_groups(development)
    keys = {(int(groups[sample]), int(development.labels[sample, 0])) for sample in range(len(development))}
    assert len(kept) == len(keys) < len(development)
