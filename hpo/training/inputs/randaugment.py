"""Augment each image by a few operations drawn for it from a list: RandAugment for grey medical images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.study.config import TrainConfig
from hpo.training.inputs.augmentation import Policy, draw_maps
from hpo.training.inputs.geometry import sample
from hpo.training.inputs.pixels import (
    add_noise,
    blur,
    change_brightness,
    change_contrast,
    change_gamma,
    cut_out,
)

_MOVES: dict[str, float] = {"flip": 0.5, "rotation": 30.0, "shift": 0.1, "scale": 0.25, "shear": 0.2}
"""Operations that move pixels, as parts of a `Policy`, with their largest change."""

_CHANGES: dict[str, tuple[Callable[[Tensor, float, torch.Generator], Tensor], float]] = {
    "gamma": (change_gamma, 0.3),
    "contrast": (change_contrast, 0.6),
    "brightness": (change_brightness, 0.2),
    "blur": (blur, 1.0),
    "noise": (add_noise, 0.15),
    "cutout": (cut_out, 0.6),
}
"""Operations that change values, with their largest change."""

OPERATIONS = (*_MOVES, *_CHANGES)

RESIZING = ("scale", "shear")
"""Operations that change the size of what an image shows, or its shape."""


@dataclass(frozen=True)
class RandAugment:
    """An augmentation by `count` different operations of a list, drawn for each image.

    Magnitudes are uniform up to `augmentation_strength` times the largest change, in both directions, as in the other
    policies. The operations of an image are applied in the order of `OPERATIONS`, all that move pixels by one
    interpolation; the paper draws their order, too. Source: Cubuk et al. 2020, arXiv 1909.13719.
    """

    operations: tuple[str, ...] = OPERATIONS
    count: int = 2

    def configured(self, config: TrainConfig) -> RandAugment:
        """Return it with the number of operations of a configuration."""
        return replace(self, count=config.augmentation_operations)

    def __call__(
        self, images: Tensor, targets: Tensor, strength: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch; see `AugmentationFunction`. Targets stay as they are."""
        if strength == 0:
            return images, targets
        chosen = self.choose(images, random)
        images = self._move(images, chosen, strength, random)
        for name, (change, largest) in _CHANGES.items():
            if name in chosen:
                images = torch.where(chosen[name], change(images, strength * largest, random), images)
        return images, targets

    def choose(self, images: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Draw the operations of each image: by name, (B, 1, ...) bool, `count` of them true."""
        keys = torch.rand(len(images), len(self.operations), generator=random, device=random.device)
        ranks = (keys[:, :, None] > keys[:, None]).sum(2)
        is_chosen = (ranks < self.count).view(-1, len(self.operations), *(1,) * (images.dim() - 1))
        return {name: is_chosen[:, place] for place, name in enumerate(self.operations)}

    def _move(self, images: Tensor, chosen: dict[str, Tensor], strength: float, random: torch.Generator) -> Tensor:
        """Apply the chosen operations that move pixels, composed to one map for each image."""
        d = images.dim() - 2
        none = torch.eye(d, d + 1, device=images.device).expand(len(images), d, d + 1)
        maps, moved = none, torch.zeros_like(next(iter(chosen.values())))
        for name, largest in _MOVES.items():
            if name in chosen:
                drawn = draw_maps(len(images), d, Policy(**{name: strength * largest}), random)
                maps = _compose(maps, torch.where(chosen[name].view(-1, 1, 1), drawn, none))
                moved = moved | chosen[name]
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        return torch.where(moved, sample(images, grid), images)


def _compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the (B, d, d + 1) affine maps x -> outer(inner(x))."""
    d = outer.shape[1]
    linear = outer[:, :, :d] @ inner
    return torch.cat([linear[:, :, :d], linear[:, :, d:] + outer[:, :, d:]], dim=2)
