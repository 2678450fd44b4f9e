"""Move pixels: rotations, elastic bending, and interpolation at moved coordinates, in 2D and 3D alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_WAVES = 4
_MOST_CYCLES = 1.5
"""Waves of each bend, and the most cycles of one along an edge."""


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Interpolate (B, 1, ...) images linearly at a grid of `affine_grid`'s form; beyond the border the edge repeats."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def rotation(angle: Tensor, i: int, j: int, dimensions: int) -> Tensor:
    """Return (B, d, d) rotations in the plane of axes i and j by (B,) angles in radians."""
    turn = torch.eye(dimensions, device=angle.device).repeat(len(angle), 1, 1)
    turn[:, i, i] = turn[:, j, j] = torch.cos(angle)
    turn[:, i, j] = -torch.sin(angle)
    turn[:, j, i] = torch.sin(angle)
    return turn


def bend(grid: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Bend a grid of (B, ..., d) coordinates from -1 to 1 smoothly, keeping areas and volumes.

    Each coordinate in turn moves by a sum of random waves in the other coordinates alone. Such a shear has a Jacobian
    determinant of exactly 1 whatever its size, and so has a sequence of them: no part of an image grows or shrinks.

    Args:
        size: about the largest displacement along an axis, as a share of the edge.
    """
    count, d = len(grid), grid.shape[-1]

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=random, device=random.device) * 2 - 1

    moved = list(grid.flatten(1, -2).unbind(-1))
    for axis in range(d):
        others = torch.stack([moved[other] for other in range(d) if other != axis], dim=1)
        cycles, phase, height = draw(_WAVES, d - 1) * _MOST_CYCLES, draw(_WAVES, 1), draw(1, _WAVES)
        waves = torch.sin(math.pi * (torch.baddbmm(phase, cycles, others)))
        moved[axis] = moved[axis] + (2 * size / math.sqrt(_WAVES)) * torch.bmm(height, waves)[:, 0]
    return torch.stack(moved, dim=-1).view(grid.shape)
