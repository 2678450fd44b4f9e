"""Make the views of images that are scored in place of the images alone: test-time augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.study.config import TtaAverage, TtaViews

_EDGES_PER_STEP = 28
"""A shift is one pixel of an image of this edge, and in proportion in a larger one."""


@dataclass(frozen=True)
class View:
    """One view: mirrored along some axes, then shifted. Without any, the images themselves.

    Attributes:
        mirrored: axes of the (B, C, ...) tensor.
        shift: axis and direction, 1 or -1; the edge is repeated where pixels are missing.
    """

    mirrored: tuple[int, ...] = ()
    shift: tuple[int, int] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the view of (B, C, ...) images of any type."""
        if self.mirrored:
            images = images.flip(self.mirrored)
        if self.shift is None:
            return images
        axis, direction = self.shift
        edge = images.shape[axis]
        step = direction * max(1, round(edge / _EDGES_PER_STEP))
        places = (torch.arange(edge, device=images.device) - step).clamp(0, edge - 1)
        return images.index_select(axis, places)


def make_views(kind: TtaViews, dimensions: int) -> tuple[View, ...]:
    """Return the views of images of that many dimensions, the images themselves first.

    flips: every combination of the axes that the flip policy mirrors, the horizontal one in 2D and all in 3D: 2 or 8
    views. shifts: one step forth and back along each axis: 5 or 7. both: all of these: 6 or 14, not their combinations.
    """
    axes = range(2, 2 + dimensions)
    mirrored_axes = axes[-1:] if dimensions == 2 else axes
    views = [View()]
    if kind in ("flips", "both"):
        for count in range(1, 1 + len(mirrored_axes)):
            views += [View(mirrored=chosen) for chosen in combinations(mirrored_axes, count)]
    if kind in ("shifts", "both"):
        views += [View(shift=(axis, direction)) for axis in axes for direction in (1, -1)]
    return tuple(views)


def average_views(logits: Sequence[Tensor], average: TtaAverage) -> Tensor:
    """Average the logits of views, (B, L) each, as logits or as probabilities; returns (B, L) logits.

    The mean probability is returned as its logit, computed from logarithms, so that scores near 0 and 1 do not tie.
    """
    if len(logits) == 1:
        return logits[0]
    stacked = torch.stack(list(logits))
    if average == "logits":
        return stacked.mean(0)
    count = math.log(len(logits))
    positive, negative = (F.logsigmoid(sign * stacked).logsumexp(0) - count for sign in (1, -1))
    return positive - negative
