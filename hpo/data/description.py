"""Describe a development set: counts, pixels, groups, near-duplicates, and what may go wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpo.data.described import Described
from hpo.data.duplicates import Pairs, Progress, near_duplicates, unseen
from hpo.data.groups import group_pairs, members
from hpo.study.spec import Scoring
from hpo.text import counted

FEW_PER_FOLD = 10
"""Samples of the rarer class in a fold below which its AUC says little: with 10, its standard error is about .08."""

RARE = 0.01
"""Share of the rarer class below which a label is almost constant."""

_DARK = 32
"""Largest pixel of a data set that uses little of the range to 255."""


@dataclass(frozen=True)
class PartCount:
    """Samples of a part, and of each label the positives; None for the test part, which is sealed."""

    part: str
    samples: int
    positives: tuple[int, ...] | None


@dataclass(frozen=True)
class Twins:
    """Near-duplicates of train and val.

    Attributes:
        correlation: from which on; higher than asked if there were too many pairs to keep them all.
        pairs, exact: pairs, and those that are equal in every pixel.
        samples: samples in any pair.
        kept_together: correlation from which folds keep pairs together; higher where similar images would chain into
            groups too large for a fold.
        across: pairs of a train and a val sample.
        conflicts, exact_conflicts: pairs that differ in a label.
    """

    correlation: float
    pairs: int
    exact: int
    samples: int
    kept_together: float
    across: int
    conflicts: int
    exact_conflicts: int


@dataclass(frozen=True)
class Description:
    """What is in a data set; everything but the number of test samples is of train and val.

    Attributes:
        shape: of one image.
        lowest, highest, mean: of all pixels.
        constant_images: images of one value.
        groups: None if the data bring none.
        largest_group: its samples.
        near_duplicates: None if they were not looked for.
    """

    name: str
    dimensions: int
    shape: tuple[int, ...]
    label_names: tuple[str, ...]
    parts: tuple[PartCount, ...]
    lowest: int
    highest: int
    mean: float
    constant_images: int
    groups: int | None
    largest_group: int
    near_duplicates: Twins | None
    warnings: tuple[str, ...]


def describe(data: Described, look_for_duplicates: bool = True, progress: Progress = unseen) -> Description:
    """Describe a data set.

    Args:
        look_for_duplicates: near-duplicates take minutes for 90,000 images; they are compared at 28 pixels an edge.
    """
    twins = None
    if look_for_duplicates and data.near_duplicates is not None:
        twins = _twins(data, data.near_duplicates, progress)
    flat = data.images.reshape(len(data.images), -1)
    lows, highs = flat.min(axis=1), flat.max(axis=1)
    found = Description(
        name=data.name,
        dimensions=data.dimensions,
        shape=data.images.shape[1:],
        label_names=data.label_names,
        parts=_parts(data),
        lowest=int(lows.min()),
        highest=int(highs.max()),
        mean=float(flat.mean(dtype=np.float64)),
        constant_images=int((lows == highs).sum()),
        groups=None if data.groups is None else int(np.unique(data.groups).size),
        largest_group=0 if data.groups is None else int(np.bincount(data.groups).max()),
        near_duplicates=twins,
        warnings=(),
    )
    labels = label_warnings(data.labels, data.label_names, Scoring().folds)
    return replace(
        found, warnings=(*labels, *_group_warnings(data), *pixel_warnings(lows, highs), *_pair_warnings(twins))
    )


def _parts(data: Described) -> tuple[PartCount, ...]:
    parts = []
    for part, chosen in (("train", ~data.is_validation), ("val", data.is_validation)):
        if chosen.any():
            positives = data.labels[chosen].sum(axis=0, dtype=np.int64)
            parts.append(PartCount(part, int(chosen.sum()), tuple(map(int, positives))))
    if data.test_samples is not None:
        parts.append(PartCount("test", data.test_samples, None))
    return tuple(parts)


def _twins(data: Described, threshold: float, progress: Progress) -> Twins:
    pairs: Pairs = near_duplicates(data.images, threshold, progress)
    differ = (data.labels[pairs.first] != data.labels[pairs.second]).any(axis=1)
    return Twins(
        correlation=pairs.threshold,
        pairs=len(pairs),
        exact=int(pairs.is_exact.sum()),
        samples=int(np.unique(np.concatenate([pairs.first, pairs.second])).size),
        kept_together=group_pairs(pairs, len(data.images), data.groups)[1],
        across=int((data.is_validation[pairs.first] != data.is_validation[pairs.second]).sum()),
        conflicts=int(differ.sum()),
        exact_conflicts=int((differ & pairs.is_exact).sum()),
    )


def label_warnings(labels: NDArray[np.uint8], names: Sequence[str], parts: int, *, are_folds: bool = True) -> list[str]:
    """Return what may go wrong with the labels, (N, L), of a development set that is scored on parts of it.

    Args:
        parts: of equal size, into which it is divided.
        are_folds: every part is scored; else one of them.
    """
    lines, count = [], len(labels)
    for name, positives in zip(names, labels.sum(axis=0, dtype=np.int64), strict=True):
        rarer = min(int(positives), count - int(positives))
        kind = counted(rarer, "positive" if rarer == positives else "negative")
        if rarer == 0:
            lines.append(f"{name}: all samples of train and val have one class, so there is no AUC of it")
        elif rarer / count < RARE:
            lines.append(f"{name}: almost constant, {kind} among {count:,} samples ({rarer / count:.2%})")
        if 0 < rarer / parts < FEW_PER_FOLD:
            where = f"each of {parts} folds: the AUC of a fold" if are_folds else "a validation part: its AUC"
            remedy = "repeat the folds" if are_folds else "take folds"
            lines.append(f"{name}: {kind}, about {rarer / parts:.0f} in {where} says little; {remedy}, or add samples")
    return lines


def _group_warnings(data: Described) -> list[str]:
    if data.groups is None:
        return []
    lines = []
    several = list(members(data.groups))
    for number, name in enumerate(data.label_names):
        mixed = sum(0 < data.labels[group, number].sum() < group.size for group in several)
        if mixed:
            lines.append(f"{name}: both classes in {mixed:,} of {counted(len(several), 'group')} with several samples")
    crossing = sum(0 < data.is_validation[group].sum() < group.size for group in several)
    if crossing:
        lines.append(
            f"samples of {counted(crossing, 'group')} are in train and in val: a score on val will be too high"
        )
    return lines


def pixel_warnings(lows: NDArray[np.uint8], highs: NDArray[np.uint8]) -> list[str]:
    """Return what may go wrong with images whose lowest and highest pixels, (N,) each, are these."""
    lines, constant = [], int((lows == highs).sum())
    if highs.max() < _DARK:
        lines.append(f"pixels are at most {highs.max()} of 255: `hpo data import --window` stretches them")
    if constant:
        lines.append(f"one value in all pixels: {constant:,} of {counted(lows.size, 'image')}")
    return lines


def _pair_warnings(twins: Twins | None) -> list[str]:
    lines = []
    if twins is not None and twins.exact_conflicts:
        pairs = counted(twins.exact_conflicts, "pair")
        lines.append(f"{pairs} of identical images with different labels: one of two is wrong")
    if twins is not None and twins.across:
        lines.append(
            f"{counted(twins.across, 'pair')} of near-duplicates across train and val: a score on val will be too high"
        )
    return lines
