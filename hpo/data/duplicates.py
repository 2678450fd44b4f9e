"""Near-duplicates: images that are (almost) the same picture, found by the correlation of all their pixels.

MedMNIST shrinks images to 28 pixels, and two scans of one lesion, or one file that is in a collection twice, become
almost equal. A model that has seen one of two has as good as seen the other.

Every machine finds the same pairs. Sums of products of pixels are whole numbers below 2^53, so that matrix products in
double precision are exact in any order of summation, whatever the library and the number of threads; the correlation is
then computed from whole numbers by one conversion, two square roots, one product and one division, each of which IEEE
754 rounds in one way only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpo.study.catalogue import NEAR_DUPLICATE

MOST_PAIRS = 2_000_000
"""Largest number of pairs that are kept; of more, only those with the highest correlations."""

LEVELS = (0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Thresholds that are tried instead where a threshold finds too much."""

_BLOCK_BYTES = 2**25
_MOST_BLOCK_ROWS = 2048

_EDGE = 28
"""Edge to which larger images are shrunk first, as MedMNIST's are: from there similar scans are almost equal."""

_SLACK = 1e-6
"""How far below the threshold candidates are taken from rounded values, before their exact correlation decides."""

_NO_CORRELATION = 1e150
"""Standard deviation that makes the correlation of a constant image 0, where it is not defined."""

Progress = Callable[[float], None]
"""Called with the fraction done, 0 to 1."""


def unseen(_share: float) -> None:
    """Take progress and do nothing."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images, each once, first < second.

    Attributes:
        first, second: (P,) int64, numbers of the images.
        correlation: (P,) float64; 1 for two constant images of one value.
        is_exact: (P,) bool, whether the two are equal in every pixel.
        threshold: all pairs with at least this correlation are here.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: NDArray[np.float64]
    is_exact: NDArray[np.bool_]
    threshold: float

    def __len__(self) -> int:
        return self.first.size

    def above(self, threshold: float) -> Pairs:
        """Return the pairs of at least this correlation; above 1 there are the exact ones left."""
        kept = self.is_exact if threshold >= 1 else self.correlation >= threshold
        return self._subset(kept, max(threshold, self.threshold))

    def ordered(self) -> Pairs:
        """Return them by falling correlation, those of equal correlation by their numbers."""
        return self._subset(np.lexsort((self.second, self.first, -self.correlation)), self.threshold)

    def _subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64], threshold: float) -> Pairs:
        first, second = self.first[chosen], self.second[chosen]
        return Pairs(first, second, self.correlation[chosen], self.is_exact[chosen], threshold)


def near_duplicates(
    images: NDArray[np.uint8],
    threshold: float = NEAR_DUPLICATE,
    progress: Progress = unseen,
    most_pairs: int = MOST_PAIRS,
) -> Pairs:
    """Find all pairs of images whose pixels have a Pearson correlation of at least `threshold`.

    Takes N^2 P / 2 multiplications for N images of P pixels, and some 200 MB beside the images; larger images are
    shrunk to an edge of 28 first. A constant image has no correlation: it is paired with the next constant image of the
    same value only.

    Args:
        images: (N, H, W), (N, H, W, 3) or (N, D, H, W).
        threshold: above 0, at most 1.
        most_pairs: where there are more, the threshold is raised, see `Pairs.threshold`.
    """
    pixels = _Pixels(images)
    found = _Found(threshold, most_pairs)
    found.add(*pixels.equal_constants())
    work = [(rows, columns) for rows in pixels.blocks() for columns in pixels.blocks() if columns.start >= rows.start]
    for done, (rows, columns) in enumerate(work, 1):
        first, second, correlation = _correlated(pixels, rows, pixels, columns, found.threshold)
        once = first < second
        found.add(first[once], second[once], correlation[once])
        progress(done / len(work))
    first, second, correlation = found.arrays()
    order = np.lexsort((second, first))
    first, second, correlation = first[order], second[order], correlation[order]
    is_exact = correlation >= 1
    for place in np.flatnonzero(is_exact):
        is_exact[place] = np.array_equal(images[first[place]], images[second[place]])
    return Pairs(first, second, correlation, is_exact, found.threshold)


def have_near_duplicates(
    images: NDArray[np.uint8], among: NDArray[np.uint8], threshold: float = NEAR_DUPLICATE
) -> NDArray[np.bool_]:
    """Return for each of `images`, (N, ...), whether one of `among`, (M, ...), is a near-duplicate of it.

    A constant image is one of each constant image of the same value.
    """
    asked, others = _Pixels(images), _Pixels(among)
    found = np.zeros(len(images), dtype=np.bool_)
    for rows in asked.blocks():
        for columns in others.blocks():
            found[_correlated(asked, rows, others, columns, threshold)[0]] = True
    found[asked.is_constant] = np.isin(asked.sums[asked.is_constant], others.sums[others.is_constant])
    return found


class _Pixels:
    """Images as rows of pixels, with what a correlation needs of each.

    Attributes:
        sums: (N,) int64 of pixels.
        variances: (N,) int64, P^2 times the variance.
        spread: (N,) float64, P times the standard deviation.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._rows = _shrunk(images).reshape(len(images), -1)
        self.count = self._rows.shape[1]
        self.sums = np.zeros(len(images), dtype=np.int64)
        squares = np.zeros(len(images), dtype=np.int64)
        for block in self.blocks():
            part = self._rows[block].astype(np.int64)
            self.sums[block], squares[block] = part.sum(axis=1), np.einsum("ij,ij->i", part, part)
        self.variances = self.count * squares - self.sums**2
        self.is_constant = self.variances == 0
        self.spread = np.where(self.is_constant, _NO_CORRELATION, np.sqrt(self.variances.astype(np.float64)))

    def blocks(self) -> Iterator[slice]:
        """Yield slices of rows that together are all, each small in double precision."""
        rows = min(max(1, _BLOCK_BYTES // (8 * self.count)), _MOST_BLOCK_ROWS)
        edges = [*range(0, len(self._rows), rows), len(self._rows)]
        return (slice(start, end) for start, end in pairwise(edges))

    def block(self, rows: slice) -> NDArray[np.float64]:
        """Return some rows in double precision."""
        return self._rows[rows].astype(np.float64)

    def equal_constants(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return each constant image with the next one of the same value: first, second, correlation 1."""
        constant = np.flatnonzero(self.is_constant)
        order = constant[np.argsort(self.sums[constant], kind="stable")]
        is_same = self.sums[order][:-1] == self.sums[order][1:]
        return order[:-1][is_same], order[1:][is_same], np.ones(int(is_same.sum()))


def _shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink every edge above 28 to 28, axis by axis, to means over areas; in whole numbers, so alike everywhere."""
    for axis in range(1, images.ndim):
        edge = images.shape[axis]
        if edge > _EDGE:
            starts = np.arange(_EDGE) * edge // _EDGE
            counts = np.diff([*starts, edge]).reshape([-1 if other == axis else 1 for other in range(images.ndim)])
            sums = np.add.reduceat(images, starts, axis=axis, dtype=np.int32)
            images = ((sums + counts // 2) // counts).astype(np.uint8)
    return images


def _correlated(
    left: _Pixels, rows: slice, right: _Pixels, columns: slice, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of a block of each side with at least a correlation: number left, number right, correlation."""
    count = left.count
    products = left.block(rows) @ right.block(columns).T
    # r >= t where products >= sum sum / P + t spread spread / P. Compared like this, one small product and one
    # comparison go over the whole block, and only what is left is computed exactly.
    own = np.column_stack([left.sums[rows] / count, (threshold - _SLACK) * left.spread[rows] / count])
    near, others = np.nonzero(
        products >= own @ np.stack([right.sums[columns].astype(np.float64), right.spread[columns]])
    )
    first, second = near + rows.start, others + columns.start
    covariance = count * products[near, others].astype(np.int64) - left.sums[first] * right.sums[second]
    correlation = np.minimum(covariance / (left.spread[first] * right.spread[second]), 1.0)
    # Not 1 - 1e-16 by rounding, so that exact duplicates pass every threshold.
    correlation[(covariance == left.variances[first]) & (covariance == right.variances[second])] = 1.0
    kept = correlation >= threshold
    return first[kept], second[kept], correlation[kept]


class _Found:
    """Pairs found so far; once there are too many, the threshold rises by the next of `LEVELS`."""

    def __init__(self, threshold: float, most: int) -> None:
        self.threshold, self._most = threshold, most
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self._count = 0

    def add(self, first: NDArray[np.int64], second: NDArray[np.int64], correlation: NDArray[np.float64]) -> None:
        self._parts.append((first, second, correlation))
        self._count += first.size
        while self._count > self._most and self.threshold < LEVELS[-1]:
            self.threshold = next(level for level in LEVELS if level > self.threshold)
            arrays = self.arrays()
            kept = arrays[2] >= self.threshold
            self._parts = [(arrays[0][kept], arrays[1][kept], arrays[2][kept])]
            self._count = int(kept.sum())

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        first, second, correlation = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        return first, second, correlation
