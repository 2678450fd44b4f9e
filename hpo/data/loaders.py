"""Load arrays by functions that plug-ins register, and validate them against the declared dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, HpoError, first_line
from hpo.study.catalogue import Dataset

SPLITS = ("train", "val", "test")

Loader = Callable[[Path], Mapping[str, NDArray[Any]]]
"""Returns arrays under MedMNIST's names, SPLIT_images and SPLIT_labels, for train and val or for test; other keys are
ignored. It is called with the data folder of the command line, which it may ignore."""


def load_by(loader: Loader, dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Call a loader; return SPLIT_images (N, H, W) or (N, D, H, W) and SPLIT_labels (N, L), uint8.

    Raises:
        DataError: if the loader raises, or its arrays do not match the declared dataset.
    """
    try:
        loaded = loader(folder)
    except HpoError:
        raise
    except Exception as error:
        raise DataError(f"the loader of {dataset.name} failed: {type(error).__name__}: {error}") from error
    counts = dict(zip(SPLITS, dataset.rows, strict=True))
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in splits:
        images, labels = (_array(loaded, f"{split}_{kind}", dataset) for kind in ("images", "labels"))
        _check_shape(dataset, f"{split}_images", images, (counts[split], *dataset.image_shape))
        _check_shape(dataset, f"{split}_labels", labels, (counts[split], dataset.labels))
        if images.dtype != np.uint8:
            raise _wrong(dataset, f"{split}_images has type {images.dtype}, not uint8")
        if not ((labels == 0) | (labels == 1)).all():
            raise _wrong(dataset, f"{split}_labels has values other than 0 and 1")
        # Copy: the arrays become read-only, and the loader may return the same ones again.
        arrays[f"{split}_images"] = np.array(images)
        arrays[f"{split}_labels"] = np.array(labels, dtype=np.uint8)
    return arrays


def _array(loaded: Mapping[str, NDArray[Any]], name: str, dataset: Dataset) -> NDArray[Any]:
    try:
        array = np.asarray(loaded[name])
    except (KeyError, TypeError):
        raise _wrong(dataset, f"it returns no {name}") from None
    except ValueError as error:
        raise _wrong(dataset, f"{name} is no array: {first_line(error)}") from None
    if array.dtype.kind not in "buif":
        raise _wrong(dataset, f"{name} has type {array.dtype}, which is no number")
    return array


def _check_shape(dataset: Dataset, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise _wrong(dataset, f"{name} has shape {array.shape}, not {shape}")


def _wrong(dataset: Dataset, problem: str) -> DataError:
    return DataError(f"the loader of {dataset.name} does not match the registered dataset: {problem}")
