"""Resplit: how a trial divides the training part of a fold into a training set and a selection set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.folds import require_both_classes
from hpo.data.groups import has_groups
from hpo.data.stratify import stratified_split
from hpo.errors import DataError
from hpo.study.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Split:
    """Training set and selection set, as sorted disjoint indices into a Development: (n,) int64.

    Attributes:
        selection: the set that picks the epoch; None if the whole training part trains.
    """

    training: NDArray[np.int64]
    selection: NDArray[np.int64] | None


def resplit(development: Development, part: NDArray[np.int64], config: TrainConfig, seed: int) -> Split:
    """Divide the training part of a fold into a training set and a selection set as `config.resplit` says.

    - none: no selection set.
    - holdout: the selection set is a stratified `resplit_share`.
    - official: the selection set is the official validation samples.
    - balanced: the selection set has as many positives as negatives, about `resplit_share` of the samples but at most
      half of either class.

    The sets of holdout and balanced keep the groups of the development set whole. Official validation samples are
    those of MedMNIST, with or without near-duplicates in the training set: the recipe that others used.

    Args:
        part: (n,) indices of the training part of the fold.

    Raises:
        DataError: with the counts, if the training or the selection set lacks a class.
    """
    groups = None if development.groups is None else development.groups[part]
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    if config.resplit == "none":
        return Split(np.sort(part), None)
    if config.resplit == "holdout":
        shares = [config.resplit_share, 1 - config.resplit_share]
        selection = part[stratified_split(development.labels[part], shares, generator, groups)[0]]
    elif config.resplit == "official":
        selection = part[development.is_validation[part]]
    else:
        selection = _balanced(development, part, config.resplit_share, generator)
    split = Split(np.setdiff1d(part, selection), np.sort(selection))
    name = f"resplit = {config.resplit} of {development.dataset.name}"
    require_both_classes(development, np.sort(selection), f"{name}, selection set")
    require_both_classes(development, split.training, f"{name}, training set")
    return split


def _balanced(
    development: Development, part: NDArray[np.int64], share: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    if development.labels.shape[1] != 1:
        name, labels = development.dataset.name, development.labels.shape[1]
        raise DataError(f"resplit = balanced needs one label; {name} has {labels}")
    is_positive = development.labels[part, 0] == 1
    classes = [part[is_positive], part[~is_positive]]
    each = min(max(1, round(share * part.size / 2)), *(members.size // 2 for members in classes))
    if development.groups is not None and has_groups(development.groups[part]):
        return part[_balanced_groups(development.groups[part], is_positive, each, generator)]
    return np.concatenate([generator.choice(members, each, replace=False) for members in classes])


def _balanced_groups(
    groups: NDArray[np.int64], is_positive: NDArray[np.bool_], each: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw whole groups with `each` positives and as many negatives, or as near to that as groups allow."""
    _, group_of = np.unique(groups, return_inverse=True)
    counts = [np.bincount(group_of, weights=is_class).astype(np.int64) for is_class in (is_positive, ~is_positive)]
    positives, negatives = counts
    order = generator.permutation(positives.size)
    chosen = np.zeros(positives.size, dtype=np.bool_)
    room = [each, each]
    while True:
        fits = ~chosen & (positives <= room[0]) & (negatives <= room[1])
        # The class of which more is missing goes on, in the first group of the random order that has more of it.
        if room[0] != room[1]:
            fits &= (positives > negatives) if room[0] > room[1] else (negatives > positives)
        if not fits.any():
            return np.flatnonzero(chosen[group_of])
        group = order[fits[order].argmax()]
        chosen[group] = True
        room = [room[0] - positives[group], room[1] - negatives[group]]
