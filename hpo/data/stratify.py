"""Stratified splits of samples with one or several labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.groups import members


def stratified_split(
    labels: NDArray[np.uint8],
    shares: Sequence[float],
    generator: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], ...]:
    """Split samples into parts that have about the same share of every label.

    Label by label, the rarest first, unassigned minority-class samples go to the parts with the largest deficit; the
    remaining samples then fill the parts. A part misses its target count of a label by less than one sample, unless
    labels that occur together force more. A small part still gets a minority-class sample if another part can spare it.

    With groups, those of several samples are assigned first and whole, the largest first, each to the part where it
    brings the counts of all labels nearest to their targets; single samples then even out what is left. Without groups
    of several samples the parts are those of `groups = None`.

    Args:
        labels: (N, L) 0 or 1.
        shares: one per part; they sum to 1.
        groups: (N,), equal for samples of one group.

    Returns:
        Sorted indices of the samples of each part; every sample is in exactly one.

    Source: a batched form of iterative stratification, Sechidis et al. 2011.
    """
    rarer = _rarer_class(labels)
    part_of = np.full(labels.shape[0], -1, dtype=np.int64)
    due = np.asarray(shares, dtype=np.float64)
    if groups is not None:
        _assign_groups(groups, rarer, part_of, due, generator)
    for label in np.argsort(rarer.sum(axis=0), kind="stable"):
        _assign_members(rarer[:, label], part_of, due, generator, at_least_one=True)
    _assign_members(np.ones(labels.shape[0], dtype=np.bool_), part_of, due, generator, at_least_one=False)
    return tuple(np.flatnonzero(part_of == part) for part in range(due.size))


def _rarer_class(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    is_positive = labels == 1
    return np.asarray(is_positive ^ (2 * is_positive.sum(axis=0) > labels.shape[0]))


def _assign_groups(
    groups: NDArray[np.int64],
    rarer: NDArray[np.bool_],
    part_of: NDArray[np.int64],
    due: NDArray[np.float64],
    generator: np.random.Generator,
) -> None:
    """Assign the groups of several samples, each to the part whose counts it brings nearest to their targets."""
    several = list(members(groups))
    if not several:
        return
    # What is counted: samples, and those of the rarer class of each label.
    counted = np.column_stack([np.ones(len(rarer), dtype=np.int64), rarer])
    targets = np.maximum(np.outer(due, counted.sum(axis=0)), 1e-9)
    counts = np.zeros_like(targets)
    lot = generator.permutation(len(several))
    for place in lot[np.argsort([-several[place].size for place in lot], kind="stable")]:
        brought = counted[several[place]].sum(axis=0)
        # The change of sum((count - target)^2 / target): a rare label weighs as much as a frequent one.
        cost = ((2 * (counts - targets) + brought) * brought / targets).sum(axis=1)
        best = np.flatnonzero(cost <= cost.min() + 1e-9)
        part = best[generator.integers(best.size)]
        part_of[several[place]] = part
        counts[part] += brought


def _assign_members(
    members: NDArray[np.bool_],
    part_of: NDArray[np.int64],
    due: NDArray[np.float64],
    generator: np.random.Generator,
    at_least_one: bool,
) -> None:
    """Assign the members that have no part yet, so that each part approaches its target number of members."""
    waiting = generator.permutation(np.flatnonzero(members & (part_of < 0)))
    assigned = np.bincount(part_of[members & (part_of >= 0)], minlength=due.size)
    counts = _apportion(np.maximum(due * members.sum() - assigned, 0.0), waiting.size, generator)
    if at_least_one:
        _lift_empty_parts(counts, assigned)
    part_of[waiting] = np.repeat(np.arange(due.size), counts)


def _apportion(wanted: NDArray[np.float64], count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Split `count` into integers proportional to `wanted`: largest remainder method, ties broken at random."""
    if count == 0:
        return np.zeros(wanted.size, dtype=np.int64)
    exact = wanted * (count / wanted.sum())
    whole: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    lot = generator.permutation(wanted.size)
    neediest = lot[np.argsort(-np.round(exact - whole, 9)[lot], kind="stable")]
    whole[neediest[: count - int(whole.sum())]] += 1
    return whole


def _lift_empty_parts(counts: NDArray[np.int64], assigned: NDArray[np.int64]) -> None:
    for part in np.flatnonzero(counts + assigned == 0):
        totals = np.where(counts > 0, counts + assigned, 0)
        richest = int(totals.argmax())
        if totals[richest] > 1:
            counts[richest] -= 1
            counts[part] += 1
