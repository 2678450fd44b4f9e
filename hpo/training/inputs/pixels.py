"""Change the values of pixels: intensity, noise, hidden parts, each image by draws of its own."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(images: Tensor, low: float, high: float, random: torch.Generator) -> Tensor:
    """Draw one number per image, (B, 1, ...), which broadcasts over images."""
    shape = (len(images),) + (1,) * (images.dim() - 1)
    return torch.rand(shape, generator=random, device=random.device) * (high - low) + low


def mean_of(images: Tensor) -> Tensor:
    """Return the mean of each image, (B, 1, ...)."""
    return images.mean(dim=tuple(range(1, images.dim())), keepdim=True)


def change_gamma(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Raise values to a power whose logarithm is uniform in +-size."""
    return images.clamp(0.0, 1.0) ** torch.exp(uniform(images, -size, size, random))


def change_contrast(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Multiply differences from the mean by a factor whose logarithm is uniform in +-size; values may leave [0, 1]."""
    contrast = torch.exp(uniform(images, -size, size, random))
    mean = mean_of(images)
    return (images - mean) * contrast + mean


def change_brightness(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Add a number uniform in +-size, and bring values back to [0, 1]."""
    return (images + uniform(images, -size, size, random)).clamp(0.0, 1.0)


def change_intensity(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Change gamma, contrast and brightness; see `Policy.intensity`."""
    images = change_contrast(change_gamma(images, size / 2, random), size, random)
    return change_brightness(images, size / 3, random)


def add_noise(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Add Gaussian noise; see `Policy.noise`."""
    spread = size * uniform(images, 0.0, 1.0, random)
    return images + spread * torch.randn(images.shape, generator=random, device=random.device)


def blur(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Blur; see `Policy.blur`. At full size the standard deviation is up to 1.15 pixels along each axis."""
    share = uniform(images, 0.0, size / 3, random)
    for axis in [*range(2, images.dim())] * 2:
        before, after = neighbours(images, axis)
        images = torch.lerp(images, (before + after) / 2, 2 * share)
    return images


def neighbours(images: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the images moved by one pixel forth and back along an axis, the edge repeated."""
    edge = images.shape[axis]
    first, last = images.narrow(axis, 0, 1), images.narrow(axis, edge - 1, 1)
    inner = edge - 1
    return (
        torch.cat([first, images.narrow(axis, 0, inner)], dim=axis),
        torch.cat([images.narrow(axis, 1, inner), last], dim=axis),
    )


def cut_out(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Set a square or cube to the image's mean; see `Policy.cutout`."""
    half = uniform(images, 0.0, size / 2, random)
    return torch.where(draw_boxes(images, half, random), mean_of(images), images)


def draw_boxes(images: Tensor, half: Tensor, random: torch.Generator) -> Tensor:
    """Draw a square or cube in each image: (B, 1, ...) bool, true where a pixel's centre lies in it.

    Its own centre is uniform in the image, so that it may reach over the border.

    Args:
        half: (B, 1, ...) half of its edge as a share of the image's edge.
    """
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis in range(2, images.dim()):
        edge = images.shape[axis]
        shape = [1] * images.dim()
        shape[axis] = edge
        places = ((torch.arange(edge, device=images.device) + 0.5) / edge).view(shape)
        inside = inside & ((places - uniform(images, 0.0, 1.0, random)).abs() < half)
    return inside
