"""Augment a batch on its device, without a loop over its images, in 2D and 3D alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.study.config import TrainConfig
from hpo.training.inputs.geometry import bend, rotation, sample
from hpo.training.inputs.mixing import cut_mix, mix_up
from hpo.training.inputs.morphology import change_thickness, smooth
from hpo.training.inputs.pixels import add_noise, blur, change_intensity, cut_out

_ASPECT = 0.1

AugmentationFunction = Callable[[Tensor, Tensor, float, torch.Generator], tuple[Tensor, Tensor]]
"""Augments a batch: (B, C, ...) float images from 0 to 1, (B, L) targets, the strength from 0 to 1, and the generator,
on their device, that all draws must use, so that a trial can be replayed and resumed."""


@runtime_checkable
class ConfigurableAugmentation(Protocol):
    """An augmentation that reads further settings besides its strength; it must declare them as used."""

    def configured(self, config: TrainConfig) -> AugmentationFunction:
        """Return the augmentation under a configuration."""


@dataclass(frozen=True)
class Policy:
    """An augmentation composed of parts: the largest change by each part at full strength; 0 is off."""

    flip: float = 0.0
    """Probability of a flip: horizontal only in 2D, where vertical orientation is informative; each axis in 3D."""
    rotation: float = 0.0
    """Rotation in degrees, uniform in both directions; in 3D in each of the three planes."""
    scale: float = 0.0
    """Natural logarithm of the magnification, uniform in both directions."""
    shear: float = 0.0
    """Tangent of the shear angle, uniform in both directions, for each pair of axes."""
    shift: float = 0.0
    """Translation as a share of the edge, uniform in both directions along each axis."""
    crop: float = 0.0
    """Largest share of an edge cut away; the rest, drawn along each axis within 10 % of a square, fills the image."""
    intensity: float = 0.0
    """Logarithm of gamma (half of it), of contrast, and a third of it as brightness, uniform in both directions."""
    elastic: float = 0.0
    """Smooth bending as a share of the edge, which keeps areas and volumes; see `bend`."""
    thickness: float = 0.0
    """Largest share of a dilation or erosion by one pixel."""
    smoothing: float = 0.0
    """Largest share of a smoothing of surfaces, which removes details of one pixel."""
    blur: float = 0.0
    """Largest blur: at 1 a standard deviation of 1.15 pixels."""
    noise: float = 0.0
    """Largest standard deviation of Gaussian noise; images range from 0 to 1."""
    cutout: float = 0.0
    """Largest edge of a square or cube set to the image's mean, as a share of the image's edge."""
    mixup: float = 0.0
    """Largest share of another image and its label that is mixed in."""
    cutmix: float = 0.0
    """Largest share of an image covered by a part of another one, whose label is mixed in by that share."""

    @property
    def moves(self) -> bool:
        """Return whether any part is a geometric transformation."""
        return max(self.flip, self.rotation, self.scale, self.shear, self.shift, self.crop) > 0

    def at(self, strength: float) -> Policy:
        """Return the policy with every part multiplied by `strength`; at 0 it changes nothing."""
        return Policy(**{part.name: strength * getattr(self, part.name) for part in fields(self)})

    def __call__(
        self, images: Tensor, targets: Tensor, strength: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch by `augment`; see `AugmentationFunction`."""
        return augment(images, targets, self.at(strength), random)


def augment(images: Tensor, targets: Tensor, policy: Policy, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augment a batch by the parts of `policy`, with independent draws for each image.

    All geometric parts are composed into one affine map, bent if elastic, and one linear interpolation with border
    padding. Order: geometry, thickness, smoothing, intensity, blur, noise, cutout, mixup, cutmix.

    Args:
        images: (B, C, H, W) or (B, C, D, H, W) float from 0 to 1.
        targets: (B, L); changed by mixup and cutmix only.
        random: a generator on the images' device.
    """
    if policy.moves or policy.elastic:
        maps = draw_maps(len(images), images.dim() - 2, policy, random)
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        images = sample(images, bend(grid, policy.elastic, random) if policy.elastic else grid)
    if policy.thickness:
        images = change_thickness(images, policy.thickness, random)
    if policy.smoothing:
        images = smooth(images, policy.smoothing, random)
    if policy.intensity:
        images = change_intensity(images, policy.intensity, random)
    if policy.blur:
        images = blur(images, policy.blur, random)
    if policy.noise:
        images = add_noise(images, policy.noise, random)
    if policy.cutout:
        images = cut_out(images, policy.cutout, random)
    if policy.mixup:
        images, targets = mix_up(images, targets, policy.mixup, random)
    if policy.cutmix:
        images, targets = cut_mix(images, targets, policy.cutmix, random)
    return images, targets


def draw_maps(count: int, dimensions: int, policy: Policy, random: torch.Generator) -> Tensor:
    """Draw (count, d, d + 1) affine maps from output to input coordinates, both from -1 to 1.

    The last axis comes first, as `affine_grid` expects.
    """
    d = dimensions

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=random, device=random.device) * (high - low) + low

    linear = torch.eye(d, device=random.device).repeat(count, 1, 1)
    if policy.flip:
        flips = (draw(0.0, 1.0, d) >= policy.flip) * 2.0 - 1.0
        if d == 2:
            flips[:, 1] = 1.0
        linear = linear * flips[:, None]
    for i, j in combinations(range(d), 2):
        linear = linear @ rotation(draw(-1.0, 1.0) * math.radians(policy.rotation), i, j, d)
        linear[:, :, j] += linear[:, :, i] * draw(-policy.shear, policy.shear, 1)
    linear = linear * torch.exp(draw(-policy.scale, policy.scale, 1, 1))
    shift = 2 * draw(-policy.shift, policy.shift, d)
    if policy.crop:
        cut = policy.crop * draw(0.0, 1.0, 1)
        aspect = 1 + min(_ASPECT, policy.crop) * draw(-1.0, 1.0, d)
        kept = ((1 - cut) * aspect).clamp(max=1.0)
        centre = (1 - kept) * draw(-1.0, 1.0, d)
        shift = shift + (linear @ centre[:, :, None])[:, :, 0]
        linear = linear * kept[:, None]
    return torch.cat([linear, shift[:, :, None]], dim=2)
