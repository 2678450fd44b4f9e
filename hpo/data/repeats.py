"""Samples that repeat others: near-duplicates, and groups where a study was created without them."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.groups import Groups, duplicate_groups

_found: WeakKeyDictionary[Development, Groups] = WeakKeyDictionary()


def near_duplicate_groups(development: Development) -> Groups:
    """Return the groups of near-duplicates alone, without those that the data file brings; found once per process.

    Each sample is a group of its own in a dataset where similar images may be of different origin.
    """
    if development not in _found:
        threshold = development.dataset.near_duplicates
        _found[development] = (
            np.arange(len(development))
            if threshold is None
            else duplicate_groups(development.images, threshold, development.md5)[0]
        )
    return _found[development]


def sample_groups(development: Development) -> Groups:
    """Return the groups of the development set; those of near-duplicates if its study was created without groups."""
    return near_duplicate_groups(development) if development.groups is None else development.groups


def without_repeats(development: Development, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the samples without all but the first near-duplicate of each group with the same labels.

    Near-duplicates with different labels are both kept: which of the labels is wrong is not known.

    Args:
        samples: (n,) sorted sample numbers.
    """
    keys = np.column_stack([near_duplicate_groups(development)[samples], development.labels[samples]])
    _, first = np.unique(keys, axis=0, return_index=True)
    return samples[np.sort(first)]
