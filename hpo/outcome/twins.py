"""Which test samples have a near-duplicate, or another sample of their group, in the development set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import load_development
from hpo.data.duplicates import have_near_duplicates
from hpo.data.files import load_arrays
from hpo.data.groups import shared_ids
from hpo.outcome.unseal import TestSet
from hpo.study.catalogue import Dataset


@dataclass(frozen=True, eq=False)
class Twins:
    """The twins of an opened test set.

    Attributes:
        has_twin: (N,) bool, for each test sample whether the development set has one like it.
        threshold: correlation from which two images are near-duplicates; None if the dataset declares none.
    """

    has_twin: NDArray[np.bool_]
    threshold: float | None


def find_twins(test: TestSet, dataset: Dataset, folder: Path) -> Twins | None:
    """Compare an opened test set with the development set; None where nothing says what a twin is.

    Near-duplicates are those from the threshold on with which the groups of the development set were made.

    Raises:
        DataError: as `load_development`.
    """
    development = load_development(dataset, folder)
    has_twin, threshold = np.zeros(len(test), dtype=np.bool_), development.twin_threshold
    if threshold is not None:
        has_twin |= have_near_duplicates(test.images, development.images, threshold)
    ids = load_arrays(dataset, folder, ("train", "val")) if test.groups is not None else {}
    if test.groups is not None and "train_groups" in ids:
        has_twin |= shared_ids(test.groups, [ids[name] for name in ("train_groups", "val_groups") if name in ids])
    elif threshold is None:
        return None
    return Twins(has_twin, threshold)
