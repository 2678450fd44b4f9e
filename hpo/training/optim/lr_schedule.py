"""Schedule learning-rate decay and updates of the regularizer's reference, by epoch."""

from __future__ import annotations

import math
from typing import Literal

DECAY_POINTS = (0.5, 0.75)
"""Shares of the epochs at which `step` decays and the reference is updated; MedMNIST's 50 and 75 of 100."""

DECAY_FACTOR = 0.1


def learning_rate_factor(schedule: Literal["constant", "step", "cosine"], epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate during `epoch`, counted from 0, of `epochs`.

    cosine: (1 + cos(pi epoch / epochs)) / 2, which never reaches 0. Source: Loshchilov and Hutter 2017, arXiv
    1608.03983.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return DECAY_FACTOR ** sum(epoch >= share * epochs for share in DECAY_POINTS)
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


def updates_reference(epoch: int, epochs: int) -> bool:
    """Return whether the reference is updated before `epoch`: the first at or after a decay point, never 0."""
    return any(epoch - 1 < share * epochs <= epoch for share in DECAY_POINTS)
