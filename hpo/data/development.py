"""`Development`: the development set (train and validation samples), all that a search may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import load_arrays, md5
from hpo.data.groups import duplicate_groups, given_groups, has_groups
from hpo.study.catalogue import Dataset
from hpo.study.spec import GroupRule


@dataclass(frozen=True, eq=False)
class Development:
    """The development set of a dataset as read-only arrays: train samples first, then validation samples.

    Attributes:
        images: uint8, (N, H, W), (N, H, W, 3) or (N, D, H, W).
        labels: uint8, (N, L), 0 or 1.
        is_validation: bool, (N,).
        md5: MD5 of the data file, or of these arrays if there is no file.
        groups: int64, (N,), equal for samples that no split may separate; None if each may go where it likes.
        twin_threshold: correlation from which samples count as near-duplicates in `groups`; None if none do.
    """

    dataset: Dataset
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    is_validation: NDArray[np.bool_]
    md5: str
    groups: NDArray[np.int64] | None = None
    twin_threshold: float | None = None

    def __post_init__(self) -> None:
        count = len(self.images)
        if len(self.labels) != count or self.is_validation.shape != (count,) or self.labels.ndim != 2:
            shapes = f"{self.images.shape}, {self.labels.shape}, {self.is_validation.shape}"
            raise ValueError(
                f"shapes of images, labels and is_validation are {shapes}; must be (N, ...), (N, L) and (N,)"
            )
        if self.groups is not None and self.groups.shape != (count,):
            raise ValueError(f"groups have shape {self.groups.shape}; must be ({count},)")
        for array in (self.images, self.labels, self.is_validation, self.groups):
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)


def load_development(dataset: Dataset, folder: Path, groups: GroupRule = "auto") -> Development:
    """Load the development set of a dataset, from its file in `folder` or by its registered loader.

    Args:
        groups: auto finds near-duplicates and takes the groups that the file or loader brings; none leaves
            `Development.groups` empty, as studies from before there were groups need it.

    Raises:
        DataError: if the data are missing, altered, misshapen or unreachable.
    """
    arrays = load_arrays(dataset, folder, ("train", "val"))
    splits = [split for split in ("train", "val") if f"{split}_labels" in arrays]
    images = np.concatenate([arrays.pop(f"{split}_images") for split in splits])
    labels = np.concatenate([arrays[f"{split}_labels"] for split in splits])
    is_validation = np.repeat([False, True], [dataset.rows[0], dataset.rows[1]])
    checksum = dataset.md5 or md5(images.tobytes() + labels.tobytes()).hexdigest()
    if groups == "none":
        return Development(dataset, images, labels, is_validation, checksum)
    has_given = "train_groups" in arrays
    given = given_groups(*(arrays[f"{split}_groups"] for split in splits)) if has_given else None
    found, threshold = np.arange(len(labels)) if given is None else given, dataset.near_duplicates
    if threshold is not None:
        found, threshold = duplicate_groups(images, threshold, checksum, given)
    kept = found if has_groups(found) else None
    return Development(dataset, images, labels, is_validation, checksum, kept, threshold)
