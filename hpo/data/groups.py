"""Groups: samples that must lie on one side of every split, because they are near-duplicates or of one patient."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.duplicates import LEVELS, Pairs, near_duplicates
from hpo.data.npz import NpzError, open_npz
from hpo.errors import UsageError
from hpo.files import atomic_write, expanded

ALGORITHM = 1
"""Version of what this module computes; part of the key of stored groups."""

_MOST_MEMBERS, _MOST_SHARE = 20, 0.01

_WORTH_STORING = 10**10
"""Multiplications, some seconds of them, from which groups are stored for other processes."""

_log = logging.getLogger(__name__)

Groups = NDArray[np.int64]
"""(N,), for each sample the number of the first sample of its group."""


def duplicate_groups(
    images: NDArray[np.uint8], threshold: float, key: str, given: Groups | None = None
) -> tuple[Groups, float]:
    """Return the groups of near-duplicates, merged with given ones, and the threshold that they were found with.

    They are computed once and stored in the user's cache folder, since every worker needs them.

    Args:
        images: (N, ...).
        threshold: least correlation of a pair; see `group_pairs`, which may raise it.
        key: identifies the images, such as their MD5.
        given: see `group_pairs`.
    """
    count, pixels = len(images), images[:1].size
    if given is not None:
        key = f"{key} {hashlib.sha256(given.tobytes()).hexdigest()}"
    path = _place(key, threshold, count)
    if path is None or count * count * pixels < _WORTH_STORING:
        return group_pairs(near_duplicates(images, threshold), count, given)
    if (stored := _read(path, count)) is not None:
        return stored
    _log.info(f"looking for near-duplicates among {count:,} samples, once for this user")
    groups, used = group_pairs(near_duplicates(images, threshold), count, given)
    _write(path, groups, used)
    return groups, used


def group_pairs(pairs: Pairs, count: int, given: Groups | None = None) -> tuple[Groups, float]:
    """Return the connected components of pairs among `count` samples, and the threshold that was used.

    Where the pictures of a data set all look alike, pairs chain different ones into one large group that no fold could
    hold. The threshold is therefore raised, to the next of `LEVELS`, until no group has more than 20 samples and 1 % of
    all; at 1 exact duplicates are left, whose groups may have any size.

    Args:
        given: groups to which the pairs are added, such as patients; the limit is then at least twice the largest.
    """
    most = max(_MOST_MEMBERS, int(_MOST_SHARE * count))
    edges = []
    if given is not None:
        most = max(most, 2 * int(np.bincount(given).max(initial=0)))
        edges.append((np.arange(count), given))
    for level in (pairs.threshold, *(level for level in LEVELS if level > pairs.threshold)):
        kept = pairs.above(level)
        groups = connected(count, [(kept.first, kept.second), *edges])
        if level >= LEVELS[-1] or np.bincount(groups).max(initial=0) <= most:
            break
    return groups, level


def given_groups(*ids: NDArray[Any]) -> Groups:
    """Return groups as samples are labelled with them in a file: equal ids are one group.

    Args:
        ids: (n,) integers or text for each part of the samples; a negative number or "" stands for an unknown group,
            which the sample has for itself.
    """
    text = np.concatenate([part.astype(str) for part in ids])
    is_known = np.concatenate([_is_known(part) for part in ids])
    _, first, inverse = np.unique(text, return_index=True, return_inverse=True)
    return np.where(is_known, first[inverse], np.arange(text.size)).astype(np.int64)


def shared_ids(ids: NDArray[Any], others: Iterable[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return for each sample, by its id, whether one of `others` has the same, known one."""
    return _is_known(ids) & np.isin(ids.astype(str), np.concatenate([part.astype(str) for part in others]))


def connected(count: int, edges: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Groups:
    """Return the connected components of a graph of `count` nodes, each named by its smallest node."""
    first, second = (np.concatenate(ends) for ends in zip(*edges, strict=True))
    names = np.arange(count, dtype=np.int64)
    while True:
        smaller = np.minimum(names[first], names[second])
        found = names.copy()
        # The roots move too, or a chain would take one round for each of its nodes.
        for ends in (first, second, names[first], names[second]):
            np.minimum.at(found, ends, smaller)
        found = found[found]
        if np.array_equal(found, names):
            return names
        names = found


def has_groups(groups: Groups) -> bool:
    """Return whether any two samples are in one group."""
    return bool(np.unique(groups).size < groups.size)


def members(groups: Groups) -> Iterator[NDArray[np.int64]]:
    """Yield the samples of each group with at least two, the largest groups first."""
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    several = [part for part in np.split(order, edges) if part.size > 1]
    yield from sorted(several, key=lambda part: (-part.size, int(part[0])))


def _is_known(ids: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(ids >= 0 if ids.dtype.kind in "iu" else ids.astype(str) != "")


def _place(key: str, threshold: float, count: int) -> Path | None:
    """Return the file that holds such groups, in the user's cache folder; None if the user has none."""
    digest = hashlib.sha256(f"{ALGORITHM} {key} {threshold!r} {count}".encode()).hexdigest()[:32]
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(named) if Path(named).is_absolute() else expanded("~/.cache")
    except UsageError:
        return None
    return folder / "hpo" / f"groups-{digest}.npz"


def _read(path: Path, count: int) -> tuple[Groups, float] | None:
    """Return what is stored; None if nothing is that could be groups."""
    try:
        with open_npz(path) as archive:
            groups, used = archive.read("groups"), archive.read("threshold")
    except (OSError, NpzError, KeyError):
        return None
    if groups.shape != (count,) or groups.dtype != np.int64 or used.shape != () or used.dtype != np.float64:
        return None
    is_named_by_first = bool(((groups >= 0) & (groups <= np.arange(count))).all() and (groups[groups] == groups).all())
    return (groups, float(used)) if is_named_by_first else None


def _write(path: Path, groups: Groups, threshold: float) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez_compressed(file, groups=groups, threshold=np.float64(threshold))
    except OSError as error:
        _log.info(f"{path} cannot be written ({error.strerror}): each process looks for near-duplicates itself")
