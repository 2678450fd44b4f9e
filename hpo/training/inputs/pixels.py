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


def change_intensity(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Change gamma, contrast and brightness; see `Policy.intensity`."""
    gamma = torch.exp(uniform(images, -size / 2, size / 2, random))
    contrast = torch.exp(uniform(images, -size, size, random))
    brightness = uniform(images, -size / 3, size / 3, random)
    images = images.clamp(0.0, 1.0) ** gamma
    mean = mean_of(images)
    return ((images - mean) * contrast + mean + brightness).clamp(0.0, 1.0)


def add_noise(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Add Gaussian noise; see `Policy.noise`."""
    spread = size * uniform(images, 0.0, 1.0, random)
    return images + spread * torch.randn(images.shape, generator=random, device=random.device)


def cut_out(images: Tensor, size: float, random: torch.Generator) -> Tensor:
    """Set a square or cube to the image's mean; see `Policy.cutout`."""
    half = uniform(images, 0.0, size / 2, random)
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis in range(2, images.dim()):
        edge = images.shape[axis]
        shape = [1] * images.dim()
        shape[axis] = edge
        places = ((torch.arange(edge, device=images.device) + 0.5) / edge).view(shape)
        inside = inside & ((places - uniform(images, 0.0, 1.0, random)).abs() < half)
    return torch.where(inside, mean_of(images), images)
