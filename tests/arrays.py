"""Arrays of the form of MedMNIST's, with few rows: files for any of the seven datasets, and Developments in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.study.catalogue import Dataset

FEW_ROWS = (24, 10, 12)


def made_images_and_labels(
    dataset: Dataset, rows: int, generator: np.random.Generator, share: float = 0.4
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images in which positives of the first label are brighter, and labels with both classes each."""
    labels = np.zeros((rows, dataset.labels), dtype=np.uint8)
    positives = min(max(1, round(share * rows)), rows - 1)
    for label in range(dataset.labels):
        labels[generator.choice(rows, positives, replace=False), label] = 1
    if dataset.is_mask:
        bright = 0.2 + 0.4 * labels[:, 0]
        chances = generator.random((rows, *dataset.image_shape))
        images = (chances < bright.reshape(-1, *(1,) * dataset.dimensions)) * np.uint8(255)
    else:
        images = generator.integers(0, 160, (rows, *dataset.image_shape), dtype=np.uint8)
        images[labels[:, 0] == 1] += 80
    return images.astype(np.uint8), labels


def made_arrays(
    dataset: Dataset, rows: tuple[int, int, int] = FEW_ROWS, seed: int = 0, share: float = 0.4
) -> dict[str, NDArray[np.uint8]]:
    """The six arrays of a MedMNIST file, with `rows` train, validation and test samples."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for split, count in zip(("train", "val", "test"), rows, strict=True):
        images, labels = made_images_and_labels(dataset, count, generator, share)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays


def written(dataset: Dataset, folder: Path, arrays: dict[str, NDArray[np.uint8]]) -> Dataset:
    """Write arrays as the file of `dataset`; returns the dataset with the checksum of what was written."""
    path = folder / dataset.file_name
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return dataclasses.replace(dataset, md5=hashlib.md5(path.read_bytes()).hexdigest())


def made_npz(
    dataset: Dataset, folder: Path, rows: tuple[int, int, int] = FEW_ROWS, seed: int = 0, share: float = 0.4
) -> Dataset:
    """Write a file of the form of the dataset's; returns the dataset with its numbers of rows and checksum."""
    few = dataclasses.replace(dataset, rows=rows)
    return written(few, folder, made_arrays(few, rows, seed, share))


def made_development(
    dimensions: int = 2,
    labels: int = 1,
    rows: tuple[int, int] = (40, 12),
    share: float = 0.4,
    size: int = 8,
    is_mask: bool = False,
    seed: int = 0,
) -> Development:
    """A Development in memory. share: of positives, in each label. size: edge of an image."""
    counts = (*rows, 10)
    dataset = Dataset(
        name="made",
        dimensions=3 if dimensions == 3 else 2,
        labels=labels,
        rows=counts,
        size=size,
        md5="0" * 32,
        is_mask=is_mask,
    )
    arrays = made_arrays(dataset, counts, seed, share)
    return Development(
        dataset,
        np.concatenate([arrays["train_images"], arrays["val_images"]]),
        np.concatenate([arrays["train_labels"], arrays["val_labels"]]),
        np.repeat([False, True], rows),
        "0" * 32,
    )
