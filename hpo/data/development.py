"""`Development`: the development set (train and validation samples), all that a search may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import load_arrays, md5
from hpo.study.catalogue import Dataset


@dataclass(frozen=True, eq=False)
class Development:
    """The development set of a dataset as read-only arrays: train samples first, then validation samples.

    Attributes:
        images: uint8, (N, H, W) or (N, D, H, W).
        labels: uint8, (N, L), 0 or 1.
        is_validation: bool, (N,).
        md5: MD5 of the data file, or of these arrays if there is no file.
    """

    dataset: Dataset
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    is_validation: NDArray[np.bool_]
    md5: str

    def __post_init__(self) -> None:
        count = len(self.images)
        if len(self.labels) != count or self.is_validation.shape != (count,) or self.labels.ndim != 2:
            shapes = f"{self.images.shape}, {self.labels.shape}, {self.is_validation.shape}"
            raise ValueError(
                f"shapes of images, labels and is_validation are {shapes}; must be (N, ...), (N, L) and (N,)"
            )
        for array in (self.images, self.labels, self.is_validation):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)


def load_development(dataset: Dataset, folder: Path) -> Development:
    """Load the development set of a dataset, from its file in `folder` or by its registered loader.

    Raises:
        DataError: if the data are missing, altered, misshapen or unreachable.
    """
    arrays = load_arrays(dataset, folder, ("train", "val"))
    train, validation = len(arrays["train_labels"]), len(arrays["val_labels"])
    images = np.concatenate([arrays.pop("train_images"), arrays.pop("val_images")])
    labels = np.concatenate([arrays["train_labels"], arrays["val_labels"]])
    is_validation = np.repeat([False, True], [train, validation])
    checksum = dataset.md5 or md5(images.tobytes() + labels.tobytes()).hexdigest()
    return Development(dataset, images, labels, is_validation, checksum)
