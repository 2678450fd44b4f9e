"""What a description reads: train and val of a dataset or of a file; of the test part the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import load_arrays
from hpo.data.groups import Groups, given_groups
from hpo.data.loaders import as_ids, problem_of_groups
from hpo.data.npz import Npz, NpzError, open_npz
from hpo.errors import DataError
from hpo.files import expanded
from hpo.study.catalogue import NEAR_DUPLICATE, find_dataset

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
    """Read a dataset of the catalogue, or a file whose name ends in .npz; never an array of the test part.

    Args:
        folder: of the files of the catalogue.

    Raises:
        DataError: if the data are missing, or not of MedMNIST's form.
        UsageError: if there is no such dataset.
    """
    if name.endswith(".npz"):
        return _read_file(expanded(name))
    dataset = find_dataset(name)
    arrays = load_arrays(dataset, folder, _DEVELOPMENT)
    names = tuple(f"label {number}" for number in range(dataset.labels)) if dataset.labels > 1 else ("label",)
    threshold = dataset.near_duplicates
    return _described(dataset.name, arrays, dataset.dimensions, names, threshold, dataset.rows[2] or None)


def _read_file(path: Path) -> Described:
    try:
        with open_npz(path) as archive:
            parts = [part for part in _DEVELOPMENT if f"{part}_images" in archive.names]
            # A part without samples is none, as for a study.
            parts = [part for part in parts if part == "train" or archive.header(f"{part}_images").shape[:1] != (0,)]
            if "train" not in parts:
                raise DataError(f"{path} has no train_images; a data file has the arrays of MedMNIST's files")
            arrays: dict[str, NDArray[Any]] = {}
            for part in parts:
                arrays |= _read_part(archive, part, path)
            # The header alone: the labels of the test part stay unread.
            test = archive.header("test_images").shape[:1] if "test_images" in archive.names else ()
            given = archive.read("label_names") if "label_names" in archive.names else np.empty(0, dtype=str)
    except KeyError as error:
        raise DataError(f"{path} lacks an array: {error}") from None
    except NpzError as error:
        raise DataError(f"{path} {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    shapes = {(arrays[f"{part}_images"].shape[1:], arrays[f"{part}_labels"].shape[1]) for part in parts}
    if len(shapes) > 1:
        raise DataError(f"{path}: train and val have images of different shape, or different numbers of labels")
    shape, labels = shapes.pop()
    dimensions = 2 if len(shape) == 2 or shape[-1] == 3 else 3
    names = tuple(map(str, given.ravel())) if given.size == labels else tuple(f"label {n}" for n in range(labels))
    return _described(path.stem, arrays, dimensions, names, NEAR_DUPLICATE, test[0] if test and test[0] else None)


def _read_part(archive: Npz, part: str, path: Path) -> dict[str, NDArray[Any]]:
    images, labels = (archive.read(f"{part}_{kind}") for kind in ("images", "labels"))
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(f"{path}: {part}_images has type {images.dtype} and shape {images.shape}; images are uint8")
    labels = labels if labels.ndim != 1 else labels[:, None]
    if labels.ndim != 2 or len(labels) != len(images) or not labels.size:
        raise DataError(f"{path}: {part}_labels has shape {labels.shape}, but {part}_images {images.shape}")
    if not ((labels == 0) | (labels == 1)).all():
        raise DataError(f"{path}: {part}_labels has values other than 0 and 1; `hpo data import --positive` makes them")
    found = {f"{part}_images": images, f"{part}_labels": labels.astype(np.uint8)}
    if f"{part}_groups" in archive.names:
        groups = archive.read(f"{part}_groups")
        if problem := problem_of_groups(f"{part}_groups", groups.shape, groups.dtype, len(labels)):
            raise DataError(f"{path}: {problem}")
        found[f"{part}_groups"] = as_ids(groups)
    return found


def _described(
    name: str,
    arrays: dict[str, NDArray[Any]],
    dimensions: int,
    names: tuple[str, ...],
    threshold: float | None,
    test_samples: int | None,
) -> Described:
    parts = [part for part in _DEVELOPMENT if f"{part}_images" in arrays]
    counts = [len(arrays[f"{part}_labels"]) for part in parts]
    has_groups = all(f"{part}_groups" in arrays for part in parts)
    return Described(
        name=name,
        images=np.concatenate([arrays[f"{part}_images"] for part in parts]),
        labels=np.concatenate([arrays[f"{part}_labels"] for part in parts]),
        is_validation=np.repeat([part == "val" for part in parts], counts),
        dimensions=dimensions,
        label_names=names,
        groups=given_groups(*(arrays[f"{part}_groups"] for part in parts)) if has_groups else None,
        near_duplicates=threshold,
        test_samples=test_samples,
    )
