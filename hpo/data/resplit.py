"""Resplit: how a trial divides the training part of a fold into a training set and a selection set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.folds import require_both_classes
from hpo.data.groups import has_groups
from hpo.data.repeats import sample_groups, without_repeats
from hpo.data.stratify import stratified_split
from hpo.errors import DataError
from hpo.study.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Split:
    """Training set and selection set, as sorted disjoint indices into a Development: (n,) int64.

    Attributes:
        selection: the set that picks the epoch; None if the whole training part trains.
        weights: (n,) weight of each sample of the selection set in the AUC that picks the epoch; None if all are equal.
    """

    training: NDArray[np.int64]
    selection: NDArray[np.int64] | None
    weights: NDArray[np.float64] | None = None


def resplit(development: Development, part: NDArray[np.int64], config: TrainConfig, seed: int) -> Split:
    """Divide the training part of a fold into a training set and a selection set as `config.resplit` says.

    - none: no selection set.
    - holdout: the selection set is a stratified `resplit_share`.
    - official: the selection set is the official validation samples.
    - grouped: the official validation samples and all training samples of their groups.
    - balanced: the selection set has as many positives as negatives, about `resplit_share` of the samples but at most
      half of either class.
    - importance: as holdout, with weights in the AUC that picks the epoch, by which each group counts as one sample.

    The sets of holdout, balanced and importance keep the groups of the development set whole. Official validation
    samples are those of MedMNIST, with or without near-duplicates in the training set: the recipe that others used;
    grouped is what keeps them apart. It, and importance, use groups of near-duplicates in a study without groups, too.

    An AUC is the share of pairs of a positive and a negative that are ranked right, so weights by class (a label shift)
    do not change it. The weights of importance correct another shift: a selection set with many images of one lesion or
    patient, against a population in which each is seen once. Weights by how typical a sample is of the official
    validation set were not taken: where that set was drawn at random, as in MedMNIST, they estimate a constant 1.

    With duplicates = remove, near-duplicates within the training set are removed last; the selection set keeps them.

    Args:
        part: (n,) indices of the training part of the fold.

    Raises:
        DataError: with the counts, if the training or the selection set lacks a class.
    """
    groups = None if development.groups is None else development.groups[part]
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    if config.resplit == "none":
        return Split(_trained(development, np.sort(part), config), None)
    if config.resplit in ("holdout", "importance"):
        shares = [config.resplit_share, 1 - config.resplit_share]
        selection = part[stratified_split(development.labels[part], shares, generator, groups)[0]]
    elif config.resplit == "official":
        selection = part[development.is_validation[part]]
    elif config.resplit == "grouped":
        known = sample_groups(development)
        selection = part[np.isin(known[part], known[part[development.is_validation[part]]])]
    else:
        selection = _balanced(development, part, config.resplit_share, generator)
    selection = np.sort(selection)
    weights = group_weights(sample_groups(development)[selection]) if config.resplit == "importance" else None
    split = Split(_trained(development, np.setdiff1d(part, selection), config), selection, weights)
    name = f"resplit = {config.resplit} of {development.dataset.name}"
    require_both_classes(development, selection, f"{name}, selection set")
    require_both_classes(development, split.training, f"{name}, training set")
    return split


def group_weights(groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n,) weights of samples that add up to 1 in each group: 1 / number of samples of its group.

    Source: importance weights p(x) / q(x), Shimodaira 2000, for a population p of groups and a sample q of images.
    """
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / sizes[group_of])


def _trained(development: Development, samples: NDArray[np.int64], config: TrainConfig) -> NDArray[np.int64]:
    """Return the samples to train on, out of a training set."""
    return without_repeats(development, samples) if config.duplicates == "remove" else samples


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
