"""Hold the images and labels of a dataset on the device, once for all folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hpo.data.development import Development

_CHUNK = 1 << 25
"""Pixels resized at a time: 128 MB as float32."""


@dataclass(frozen=True, eq=False)
class DeviceDataset:
    """images: (N, 1, ...) uint8, labels: (N, L) float32, both on the device. host_labels: (N, L) uint8, numpy."""

    images: Tensor
    labels: Tensor
    host_labels: NDArray[np.uint8]


def make_device_dataset(development: Development, input_size: int, device: torch.device) -> DeviceDataset:
    """Move the development set to the device, shrunk to an edge of `input_size` unless it is smaller."""
    images = place_images(development.images, input_size, device)
    labels = torch.tensor(development.labels, dtype=torch.float32).to(device)
    return DeviceDataset(images, labels, development.labels)


def place_images(images: NDArray[np.uint8], input_size: int, device: torch.device) -> Tensor:
    """Return (N, ...) uint8 images as (N, 1, ...) uint8 on the device, shrunk by area averaging, never enlarged."""
    placed = torch.tensor(images).to(device).unsqueeze(1)
    edges = placed.shape[2:]
    if max(edges) <= input_size:
        return placed
    rows = max(1, _CHUNK // placed[0].numel())
    return torch.cat([_shrink(part.float(), input_size).round_().to(torch.uint8) for part in torch.split(placed, rows)])


def _shrink(images: Tensor, input_size: int) -> Tensor:
    edges = [min(edge, input_size) for edge in images.shape[2:]]
    if len(edges) == 2:
        return F.adaptive_avg_pool2d(images, (edges[0], edges[1]))
    return F.adaptive_avg_pool3d(images, (edges[0], edges[1], edges[2]))
