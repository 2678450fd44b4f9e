"""Bring pictures of any shape to squares or cubes of one size."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.importing.reading import Picture
from hpo.study.own import Fit

_TIE = 1e-6
"""Added before rounding: an average halfway between two values is rounded up in whatever order it was summed."""

_WHOLE = 1e-3
"""Pixels by which a number of them may differ from a whole one by rounding."""


def resampled(picture: Picture, size: int, fit: Fit) -> NDArray[np.float64]:
    """Resample a picture to `size` pixels an edge; added pixels are NaN.

    Shrinking averages: a new pixel is the mean of the area that it covers, with parts of pixels by their share.
    Enlarging interpolates linearly. Axes of volumes are scaled alike in millimetres, unless `fit` is stretch.

    Returns:
        (size, size), (size, size, 3) or (size, size, size).
    """
    found = picture.pixels.astype(np.float64)
    for axis, (low, high) in enumerate(_windows(picture, fit)):
        weights, is_covered = _weights(found.shape[axis], low, high, size)
        found = np.moveaxis(np.tensordot(weights, found, axes=(1, axis)), 0, axis)
        if not is_covered.all():
            found[(slice(None),) * axis + (~is_covered,)] = np.nan
    return np.asarray(found)


def longest_edge(picture: Picture, fit: Fit) -> int:
    """Return the number of pixels of the longest edge of the square or cube, from which `resampled` begins."""
    return max(math.ceil(high - low) for low, high in _windows(picture, fit))


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Round to uint8; values outside are cut to 0 and 255, and NaN is 0."""
    whole = np.floor(np.nan_to_num(values, nan=0.0) + (0.5 + _TIE))
    return np.asarray(np.clip(whole, 0, 255), dtype=np.uint8)


def _windows(picture: Picture, fit: Fit) -> list[tuple[float, float]]:
    """Return for each axis from where to where it is taken, in pixels; below 0 and above the count it is padded."""
    counts = picture.pixels.shape[: picture.dimensions]
    if fit == "stretch":
        return [(0.0, float(count)) for count in counts]
    extents = [count * spacing for count, spacing in zip(counts, picture.spacing, strict=True)]
    edge = max(extents) if fit == "pad" else min(extents)
    windows = []
    for count, spacing in zip(counts, picture.spacing, strict=True):
        wanted = edge / spacing
        # Spacings in files have 7 digits: 28.000002 pixels are 28, or one of them would be cut off.
        if abs(wanted - round(wanted)) < _WHOLE:
            wanted = float(round(wanted))
        # Whole pixels, or a picture that needs no scaling would be blurred by a shift of half a pixel.
        low = float(math.floor((count - wanted) / 2 + 1e-9))
        windows.append((low, low + wanted))
    return windows


@lru_cache(maxsize=64)
def _weights(count: int, low: float, high: float, size: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (size, count) weights of the old pixels in each new one, and whether enough of it lies inside."""
    width = (high - low) / size
    edges = low + width * np.arange(size + 1)
    old = np.arange(count)
    if width >= 1:
        overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
        weights = np.clip(overlap, 0.0, None)
        covered = weights.sum(axis=1)
        # A few thin slices cover half of no new pixel, and still are not nothing.
        is_covered = covered >= min(width / 2, covered.max() - _TIE)
    else:
        centre = (edges[1:] + edges[:-1]) / 2 - 0.5
        is_covered = (centre >= -0.5) & (centre <= count - 0.5)
        weights = np.clip(1 - np.abs(np.clip(centre, 0, count - 1)[:, None] - old), 0.0, None)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return weights, is_covered
