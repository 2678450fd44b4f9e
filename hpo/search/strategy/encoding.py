"""`Encoding`: configurations of a search space as points, for models of how AUC depends on settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Floats = NDArray[np.float64]

_WITHOUT_EFFECT = 0.5
"""Coordinate of a number that has no effect; the setting that decides so tells such configurations apart."""

_NO_CHOICE = -1.0
"""Coordinate of a choice that has no effect, or that the space no longer has."""


class Encoding:
    """Coordinates of configurations: numbers from 0 to 1, on the scale of the space; choices by their index.

    Args:
        space: distributions of the settings by name.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._space = dict(space)
        self._is_choice = np.array([isinstance(entry, CategoricalDistribution) for entry in space.values()], bool)

    @property
    def dimensions(self) -> int:
        """Number of settings."""
        return len(self._space)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> Floats:
        """Return (N, D) coordinates; a setting that a configuration lacks has no effect in it."""
        rows = [[_coordinate(entry, config.get(name)) for name, entry in self._space.items()] for config in configs]
        return np.array(rows, float).reshape(len(configs), self.dimensions)

    def squared_distances(self, first: Floats, second: Floats) -> Floats:
        """Return (D, N, M) squared distances in each coordinate; 1 between two choices."""
        gaps = first.T[:, :, None] - second.T[:, None, :]
        return np.where(self._is_choice[:, None, None], (gaps != 0).astype(float), gaps**2)


def _coordinate(entry: BaseDistribution, value: Any) -> float:
    if isinstance(entry, CategoricalDistribution):
        return float(entry.choices.index(value)) if value in entry.choices else _NO_CHOICE
    assert isinstance(entry, (FloatDistribution, IntDistribution))
    if value is None or entry.low == entry.high:
        return _WITHOUT_EFFECT
    if entry.log:
        return math.log(value / entry.low) / math.log(entry.high / entry.low)
    return float((value - entry.low) / (entry.high - entry.low))
