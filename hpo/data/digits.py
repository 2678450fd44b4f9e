"""scikit-learn's digits, which need no download: the digit 8 versus the rest, and a harder task of few samples."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.stratify import stratified_split

_SPLITS = ("train", "val", "test")
_POSITIVE_DIGIT = 8
_BRIGHTEST = 16
_SEED = 20410
_ROWS = {"train": 1257, "val": 180, "test": 360}

_LOOK_ALIKES = (1, 3, 9)
_HARD_SEED = 20411
_HARD_COUNTS = {"train": (6, 60), "val": (3, 30)}
"""Numbers of eights and of look-alikes; of the test part all are taken."""


def development(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the training and validation arrays; needs no folder."""
    return digit_arrays(("train", "val"))


def test(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the test arrays; needs no folder."""
    return digit_arrays(("test",))


def hard_development(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the training and validation arrays of the harder task; needs no folder."""
    return hard_arrays(("train", "val"))


def hard_test(_folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the test arrays of the harder task; needs no folder."""
    return hard_arrays(("test",))


def digit_arrays(splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return the arrays of some splits under MedMNIST's names: SPLIT_images (N, 8, 8), SPLIT_labels (N, 1); both uint8.

    The 1,797 images (values 0 to 16, scaled to 0 to 255) have a fixed stratified split into 1257, 180 and 360 samples;
    174 of them are eights.

    Source: Alpaydin and Kaynak 1998, UCI, test part, as in `sklearn.datasets.load_digits`.
    """
    images, digits, parts = _split_digits()
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in splits:
        arrays |= _named(split, images, digits, parts[split])
    return arrays


def hard_arrays(splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return the arrays of some splits of the harder task: eights versus 1, 3 and 9, in the form of `digit_arrays`.

    Few, imbalanced samples, as medical sets have them: 6 eights of 66 train, 3 of 33 val. Each part is drawn from the
    same part of `digit_arrays`, so that no task trains on a sample that the other tests on.
    """
    images, digits, parts = _split_digits()
    random = np.random.default_rng(_HARD_SEED)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in _SPLITS:
        samples = random.permutation(parts[split])
        eights = samples[digits[samples] == _POSITIVE_DIGIT]
        others = samples[np.isin(digits[samples], _LOOK_ALIKES)]
        if split in _HARD_COUNTS:
            eights, others = eights[: _HARD_COUNTS[split][0]], others[: _HARD_COUNTS[split][1]]
        if split in splits:
            arrays |= _named(split, images, digits, np.sort(np.concatenate([eights, others])))
    return arrays


def _split_digits() -> tuple[NDArray[np.uint8], NDArray[np.int_], dict[str, NDArray[np.intp]]]:
    """Return the images (1797, 8, 8), their digits (1797,), and the samples of train, val and test."""
    brightness, digits = _bundled()
    images = np.rint(brightness * (255 / _BRIGHTEST)).astype(np.uint8)
    labels = (digits == _POSITIVE_DIGIT).astype(np.uint8)[:, None]
    shares = [_ROWS[split] / len(labels) for split in _SPLITS]
    parts = stratified_split(labels, shares, np.random.default_rng(_SEED))
    return images, digits, dict(zip(_SPLITS, parts, strict=True))


def _bundled() -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Return the brightness (1797, 8, 8), from 0 to 16, and the digits (1797,), as `load_digits` of scikit-learn does.

    Read from its file where that is found, since to import scikit-learn takes a worker as long as to import torch.
    """
    package = importlib.util.find_spec("sklearn")
    assert package is not None, "a dependency of hpo"
    file = Path(package.origin or "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        from sklearn.datasets import load_digits

        bundled = load_digits()
        return bundled.images, bundled.target
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)


def _named(
    split: str, images: NDArray[np.uint8], digits: NDArray[np.int_], samples: NDArray[np.intp]
) -> dict[str, NDArray[np.uint8]]:
    labels = (digits[samples] == _POSITIVE_DIGIT).astype(np.uint8)[:, None]
    return {f"{split}_images": images[samples], f"{split}_labels": labels}
