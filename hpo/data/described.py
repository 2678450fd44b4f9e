"""What a description reads: train and val of a dataset or of a file; of the test part the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import load_arrays
from hpo.data.groups import Groups, given_groups
from hpo.study.catalogue import Dataset, find_dataset

_DEVELOPMENT = ("train", "val")


@dataclass(frozen=True, eq=False)
class Described:
    """The development set of a dataset, train samples first, and the number of its test samples.

    Attributes:
        images: uint8, (N, H, W), (N, H, W, 3) or (N, D, H, W).
        labels: uint8, (N, L), 0 or 1.
        is_validation: bool, (N,).
        dimensions: 2 or 3.
        label_names: L texts.
        groups: those that the file brings; None if it brings none.
        near_duplicates: correlation from which images count as near-duplicates; None if similarity says nothing.
        test_samples: None if there is no test part.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    is_validation: NDArray[np.bool_]
    dimensions: int
    label_names: tuple[str, ...]
    groups: Groups | None
    near_duplicates: float | None
    test_samples: int | None


def read_described(name: str, folder: Path) -> Described:
    """Read a dataset of the catalogue, or a user's own file; of the test part as much as `read_own` does.

    Args:
        folder: of the files of the catalogue.

    Raises:
        DataError: if the data are missing, or not of MedMNIST's form.
        UsageError: if there is no such dataset.
    """
    dataset = find_dataset(name)
    arrays = load_arrays(dataset, folder, _DEVELOPMENT)
    parts = [part for part in _DEVELOPMENT if f"{part}_images" in arrays]
    counts = [len(arrays[f"{part}_labels"]) for part in parts]
    has_groups = all(f"{part}_groups" in arrays for part in parts)
    return Described(
        name=dataset.name if dataset.own is None else dataset.own.name,
        images=np.concatenate([arrays[f"{part}_images"] for part in parts]),
        labels=np.concatenate([arrays[f"{part}_labels"] for part in parts]),
        is_validation=np.repeat([part == "val" for part in parts], counts),
        dimensions=dataset.dimensions,
        label_names=shown_labels(dataset),
        groups=given_groups(*(arrays[f"{part}_groups"] for part in parts)) if has_groups else None,
        near_duplicates=dataset.near_duplicates,
        test_samples=dataset.rows[2] or None,
    )


def shown_labels(dataset: Dataset) -> tuple[str, ...]:
    """Return a name of each label, for people: that of the file, or its number."""
    numbered = tuple(f"label {number}" for number in range(dataset.labels)) if dataset.labels > 1 else ("label",)
    return (dataset.own.label_names if dataset.own is not None else ()) or numbered
