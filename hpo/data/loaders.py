"""Arrays from functions that a plug-in registers, checked against the form that its dataset declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, HpoError
from hpo.study.catalogue import Dataset

SPLITS = ("train", "val", "test")

Loader = Callable[[Path], Mapping[str, NDArray[Any]]]
"""Returns arrays under MedMNIST's names, SPLIT_images and SPLIT_labels, for train and val or for test. It is given the
data folder of the command line, which it may ignore; what else it returns is not looked at."""


def load_by(loader: Loader, dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return SPLIT_images (N, H, W) or (N, D, H, W) and SPLIT_labels (N, L), uint8, as a loader gives them.

    Raises:
        DataError: if the loader raises, or its arrays do not have the form that the dataset declares.
    """
    try:
        found = loader(folder)
    except HpoError:
        raise
    except Exception as error:
        raise DataError(f"the loader of {dataset.name} failed: {type(error).__name__}: {error}") from error
    counts = dict(zip(SPLITS, dataset.rows, strict=True))
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in splits:
        images, labels = (_array(found, f"{split}_{kind}", dataset) for kind in ("images", "labels"))
        _check_shape(dataset, f"{split}_images", images, (counts[split], *dataset.image_shape))
        _check_shape(dataset, f"{split}_labels", labels, (counts[split], dataset.labels))
        if images.dtype != np.uint8:
            raise _wrong(dataset, f"{split}_images is {images.dtype}, not uint8")
        if not ((labels == 0) | (labels == 1)).all():
            raise _wrong(dataset, f"{split}_labels holds other values than 0 and 1")
        # Copies: they are made read-only, and the loader may give the same arrays again.
        arrays[f"{split}_images"] = np.array(images)
        arrays[f"{split}_labels"] = np.array(labels, dtype=np.uint8)
    return arrays


def _array(found: Mapping[str, NDArray[Any]], name: str, dataset: Dataset) -> NDArray[Any]:
    try:
        return np.asarray(found[name])
    except (KeyError, TypeError):
        raise _wrong(dataset, f"there is no {name} among what it returns") from None


def _check_shape(dataset: Dataset, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise _wrong(dataset, f"{name} is {array.shape}, not {shape}")


def _wrong(dataset: Dataset, problem: str) -> DataError:
    return DataError(f"the loader of {dataset.name} does not give what is registered: {problem}")
