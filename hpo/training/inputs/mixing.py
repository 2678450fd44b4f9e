"""Mix pairs of images and their labels, so that targets become soft: shares of both classes."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo.training.inputs.pixels import draw_boxes, uniform


def mix_up(images: Tensor, targets: Tensor, size: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix each image with another; the share is uniform up to `size`. Source: Zhang et al. 2018, arXiv 1710.09412."""
    partner = _draw_partners(images, random)
    share = uniform(images, 0.0, size, random)
    return torch.lerp(images, images[partner], share), _mix_targets(targets, partner, share)


def cut_mix(images: Tensor, targets: Tensor, size: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a square or cube of another image into each, and mix the labels by the share of pixels that it covers.

    Its area or volume is uniform up to `size`, a share of the image's, and smaller where it reaches over the border.
    At 1 this is the paper's Beta(1, 1). Source: Yun et al. 2019, arXiv 1905.04899.
    """
    partner = _draw_partners(images, random)
    half = uniform(images, 0.0, size, random) ** (1 / (images.dim() - 2)) / 2
    inside = draw_boxes(images, half, random)
    covered = inside.float().mean(dim=tuple(range(1, images.dim())), keepdim=True)
    return torch.where(inside, images[partner], images), _mix_targets(targets, partner, covered)


def _draw_partners(images: Tensor, random: torch.Generator) -> Tensor:
    """Draw another image for each, (B,): all of them in one random cycle."""
    order = torch.randperm(len(images), generator=random, device=random.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def _mix_targets(targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(targets, targets[partner], share.view(-1, 1))
