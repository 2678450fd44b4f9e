"""scikit-learn's bundled digits as a dataset that needs no download: the digit 8 versus the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.stratify import stratified_split

_SPLITS = ("train", "val", "test")
_POSITIVE_DIGIT = 8
_BRIGHTEST = 16
_SEED = 20410
_ROWS = {"train": 1257, "val": 180, "test": 360}


def development(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the training and validation arrays; needs no folder."""
    return digit_arrays(("train", "val"))


def test(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the test arrays; needs no folder."""
    return digit_arrays(("test",))


def digit_arrays(splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return the arrays of some splits under MedMNIST's names: SPLIT_images (N, 8, 8), SPLIT_labels (N, 1); both uint8.

    The 1,797 images (values 0 to 16, scaled to 0 to 255) have a fixed stratified split into 1257, 180 and 360 samples;
    174 of them are eights.

    Source: Alpaydin and Kaynak 1998, UCI, test part, as in `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = np.rint(bundled.images * (255 / _BRIGHTEST)).astype(np.uint8)
    labels = (bundled.target == _POSITIVE_DIGIT).astype(np.uint8)[:, None]
    shares = [_ROWS[split] / len(labels) for split in _SPLITS]
    parts = stratified_split(labels, shares, np.random.default_rng(_SEED))
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split, samples in zip(_SPLITS, parts, strict=True):
        if split in splits:
            arrays[f"{split}_images"] = images[samples]
            arrays[f"{split}_labels"] = labels[samples]
    return arrays
