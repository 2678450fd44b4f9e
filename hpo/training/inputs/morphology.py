"""Change shapes: thicker, thinner, smoother; of grey images in 2D and 3D as of masks."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo.training.inputs.pixels import neighbours, uniform


def change_thickness(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Move each image by a share, uniform in +-size, towards its dilation (positive) or erosion (negative).

    So the surface of a mask gets grey voxels: it moves by a fraction of a voxel.
    """
    share = uniform(images, -size, size, random)
    dilated, eroded = dilate(images), erode(images)
    return images + share.clamp(min=0.0) * (dilated - images) + share.clamp(max=0.0) * (images - eroded)


def smooth(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Move each image by a share, uniform up to `size`, towards the mean of its opening and its closing.

    Both remove details of a single pixel, the first bright ones, the second dark ones, and keep straight surfaces.
    """
    share = uniform(images, 0.0, size, random)
    return torch.lerp(images, (dilate(erode(images)) + erode(dilate(images))) / 2, share)


def dilate(images: Tensor) -> Tensor:
    """Return the largest of each pixel and its neighbours along the axes."""
    largest = images
    for axis in range(2, images.dim()):
        for other in neighbours(images, axis):
            largest = torch.maximum(largest, other)
    return largest


def erode(images: Tensor) -> Tensor:
    """Return the smallest of each pixel and its neighbours along the axes."""
    return -dilate(-images)
