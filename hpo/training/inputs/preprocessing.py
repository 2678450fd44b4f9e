"""Convert stored uint8 images to the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig, TtaAverage
from hpo.training.inputs.augmentation import AugmentationFunction
from hpo.training.inputs.device_dataset import resize
from hpo.training.inputs.policies import make_augmentation
from hpo.training.inputs.views import View, make_views

_SCORING_MULTIPLIER = 0.5


@dataclass(frozen=True)
class Inputs:
    """The preprocessing of one dataset under one configuration.

    As MedMNIST does: x / 255, then (x - 0.5) / 0.5 in 2D and nothing in 3D; if `shape_multiplier`, masks are multiplied
    by U[0, 1] each in training and by 0.5 in evaluation. Source: MedMNIST/experiments, train_and_eval_pytorch.py.

    Attributes:
        views: of each image that are scored, see `hpo.training.loop.scoring`.
        tta_average: how their scores are averaged.
    """

    dimensions: int
    augmentation: AugmentationFunction
    strength: float
    multiplies: bool
    views: tuple[View, ...] = (View(),)
    tta_average: TtaAverage = "probabilities"

    def for_training(
        self, images: Tensor, targets: Tensor, random: torch.Generator, edge: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Convert (B, C, ...) uint8 and (B, L) targets to an augmented float32 batch; `random` is on their device.

        edge: to which the augmented images are shrunk; None for their own.
        """
        batch, targets = _checked(self.augmentation(images.float() / 255, targets, self.strength, random), targets)
        if edge is not None:
            batch = resize(batch, [min(edge, size) for size in batch.shape[2:]])
        if self.multiplies:
            shape = (len(batch),) + (1,) * (batch.dim() - 1)
            batch = batch * torch.rand(shape, generator=random, device=random.device)
        return self._normalise(batch), targets

    def for_scoring(self, images: Tensor) -> Tensor:
        """Convert (B, C, ...) uint8 to a float32 batch."""
        batch = images.float() / 255
        return self._normalise(batch * _SCORING_MULTIPLIER if self.multiplies else batch)

    def _normalise(self, batch: Tensor) -> Tensor:
        return batch * 2 - 1 if self.dimensions == 2 else batch


def _checked(augmented: object, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return what an augmentation, perhaps of a plug-in, returned; raise unless it is images and targets of a batch."""
    match augmented:
        case (Tensor() as batch, Tensor() as changed):
            pass
        case tuple() | list():
            kinds = ", ".join(type(part).__name__ for part in augmented)
            raise TypeError(f"the augmentation returned ({kinds}), not (images, targets), two tensors")
        case _:
            raise TypeError(f"the augmentation returned {type(augmented).__name__}, not (images, targets), two tensors")
    if len(batch) != len(targets) or changed.shape != targets.shape:
        given = f"{tuple(batch.shape)} and {tuple(changed.shape)}"
        raise ValueError(f"the augmentation returned shapes {given} for a batch of {len(targets)} images")
    # NumPy's numbers, and Python's, easily make float64 of a batch.
    return batch.float(), changed.float()


def make_inputs(config: TrainConfig, dataset: Dataset) -> Inputs:
    """Return the preprocessing of a configuration on a dataset."""
    augmentation = make_augmentation(config)
    multiplies = dataset.is_mask and config.shape_multiplier
    views = make_views(config.tta, dataset.dimensions)
    return Inputs(dataset.dimensions, augmentation, config.augmentation_strength, multiplies, views, config.tta_average)
