"""Move pixels: rotations, and interpolation at moved coordinates, in 2D and 3D alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
