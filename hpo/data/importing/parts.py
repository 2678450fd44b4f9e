"""Divide imported samples into train, val and test, or take the division of the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.loaders import SPLITS
from hpo.data.stratify import stratified_split
from hpo.errors import DataError
from hpo.text import counted

Parts = dict[str, NDArray[np.int64]]
"""Sorted numbers of the samples of train, val and test; parts without samples are left out."""


def drawn_parts(
    labels: NDArray[np.uint8], groups: NDArray[np.int64], val_share: float, test_share: float, seed: int
) -> Parts:
    """Draw stratified parts that keep groups whole.

    Args:
        labels: (N, L).
        groups: (N,), equal for samples that belong together.
        val_share, test_share: of all samples; together below 1.
    """
    shares = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
    wanted = {part: share for part, share in shares.items() if share > 0}
    found = stratified_split(labels, list(wanted.values()), np.random.default_rng(seed), groups)
    return dict(zip(wanted, found, strict=True))


def given_parts(names: Sequence[str]) -> Parts:
    """Return the parts by the name of the part of each sample."""
    array = np.array(names)
    return {part: np.flatnonzero(array == part) for part in SPLITS if part in names}


def require_parts(parts: Parts, labels: NDArray[np.uint8], remedy: str) -> None:
    """Check that there is a train part, and that every part has both classes of at least one label.

    Args:
        remedy: what to do, as the end of a sentence.

    Raises:
        DataError: if not. It says nothing about a test part but that.
    """
    for part in ("train", *parts):
        if not parts.get(part, np.empty(0)).size:
            raise DataError(f"no samples are left for {part}; {remedy}")
    for part, samples in parts.items():
        positives = labels[samples].sum(axis=0, dtype=np.int64)
        if not ((positives > 0) & (positives < samples.size)).any():
            size = counted(samples.size, "sample")
            raise DataError(f"{part} ({size}) has one class only, and an AUC needs both; {remedy}")


def groups_in_several_parts(parts: Parts, groups: NDArray[np.int64]) -> int:
    """Return how many groups have samples in more than one part."""
    seen = np.concatenate([np.unique(groups[samples]) for samples in parts.values()])
    return int((np.unique(seen, return_counts=True)[1] > 1).sum())
