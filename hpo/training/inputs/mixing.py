"""Mix pairs of images and their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo.training.inputs.pixels import uniform


def mix_up(images: Tensor, targets: Tensor, size: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix each image with another; the share is uniform up to `size`. Source: Zhang et al. 2018, arXiv 1710.09412."""
    order = torch.randperm(len(images), generator=random, device=random.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    share = uniform(images, 0.0, size, random)
    return torch.lerp(images, images[partner], share), torch.lerp(targets, targets[partner], share.view(-1, 1))
