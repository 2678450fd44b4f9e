"""Data files of a user's own, made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def own_file(
    path: Path,
    rows: tuple[int, int, int] = (20, 8, 8),
    shape: tuple[int, ...] = (6, 6),
    labels: int = 1,
    seed: int = 0,
    **others: Any,
) -> Path:
    """Write a file of MedMNIST's form, whose positives are brighter; splits without rows are left out.

    others: further arrays, or those that replace the ones that are made; None leaves one out.
    """
    random = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for split, count in zip(("train", "val", "test"), rows, strict=True):
        if count:
            positive = np.arange(count) % 2
            images = random.integers(0, 150, (count, *shape)) + 100 * positive.reshape(-1, *[1] * len(shape))
            arrays[f"{split}_images"] = images.astype(np.uint8)
            arrays[f"{split}_labels"] = np.stack([np.roll(positive, n) for n in range(labels)], axis=1).astype(np.uint8)
    arrays = {name: array for name, array in (arrays | others).items() if array is not None}
    np.savez_compressed(path, **arrays)
    return path
