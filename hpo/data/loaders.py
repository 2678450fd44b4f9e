"""Load arrays by functions that plug-ins register, and validate them against the declared dataset."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, HpoError, first_line
from hpo.study.catalogue import Dataset

SPLITS = ("train", "val", "test")

Loader = Callable[[Path], Mapping[str, NDArray[Any]]]
"""Returns arrays under MedMNIST's names, SPLIT_images and SPLIT_labels, for train and val or for test, and SPLIT_groups
if there are groups; others are ignored. It is called with the data folder of the command line, which it may ignore."""


def load_by(loader: Loader, dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Call a loader; return SPLIT_images (N, H, W) or (N, D, H, W) and SPLIT_labels (N, L), uint8.

    If it has groups, with SPLIT_groups (N,), integers or text.

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
    arrays: dict[str, NDArray[Any]] = {}
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
    for name in group_arrays(loaded, splits):
        if name not in loaded:
            raise _wrong(dataset, f"it returns no {name}, but other groups")
        groups = np.asarray(loaded[name])
        if problem := problem_of_groups(
            name, groups.shape, groups.dtype, len(arrays[name.replace("groups", "labels")])
        ):
            raise _wrong(dataset, problem)
        arrays[name] = as_ids(groups)
    return arrays


def group_arrays(names: Container[str], splits: tuple[str, ...]) -> list[str]:
    """Return the names of the arrays of groups of some splits: of train and val both or none, of test if it has one."""
    development = [f"{split}_groups" for split in splits if split != "test"]
    wanted = development if any(name in names for name in development) else []
    return [*wanted, *(["test_groups"] if "test" in splits and "test_groups" in names else [])]


def problem_of_groups(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> str | None:
    """Return what is wrong with the form of an array of groups; None if nothing is."""
    if shape != (count,):
        return f"{name} has shape {shape}, not {(count,)}"
    return None if dtype.kind in "iuUS" else f"{name} has type {dtype}; groups are integers or text"


def as_ids(groups: NDArray[Any]) -> NDArray[Any]:
    """Return groups as a read-only array of integers or text; bytes are decoded."""
    ids = np.char.decode(groups, "utf-8", "replace") if groups.dtype.kind == "S" else np.array(groups)
    ids.setflags(write=False)
    return ids


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
