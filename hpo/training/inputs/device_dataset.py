"""Hold the images and labels of a dataset on the device, once for all folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hpo.data.development import Development
from hpo.study.catalogue import input_edge

_CHUNK = 1 << 25
"""Pixels resized at a time: 128 MB as float32."""


@dataclass(frozen=True, eq=False)
class DeviceDataset:
    """images: (N, C, ...) uint8, labels: (N, L) float32, both on the device. host_labels: (N, L) uint8, numpy."""

    images: Tensor
    labels: Tensor
    host_labels: NDArray[np.uint8]


def make_device_dataset(development: Development, input_size: int, device: torch.device) -> DeviceDataset:
    """Move the development set to the device, resized as `input_size` says."""
    images = place_images(development.images, input_size, device, development.dataset.channels)
    labels = torch.tensor(development.labels, dtype=torch.float32).to(device)
    return DeviceDataset(images, labels, development.labels)


def place_images(images: NDArray[np.uint8], input_size: int, device: torch.device, channels: int = 1) -> Tensor:
    """Return (N, ...) uint8 images as (N, C, ...) uint8 on the device, resized to `input_edge` along each axis.

    Args:
        images: (N, H, W) or (N, D, H, W); (N, H, W, 3) if there are 3 channels.
    """
    placed = torch.tensor(images).to(device)
    placed = placed.unsqueeze(1) if channels == 1 else placed.movedim(-1, 1).contiguous()
    edges = [input_edge(size, input_size) for size in placed.shape[2:]]
    if edges == list(placed.shape[2:]):
        return placed
    resized = torch.empty((len(placed), channels, *edges), dtype=torch.uint8, device=device)
    rows = max(1, _CHUNK // max(placed[0].numel(), channels * math.prod(edges)))
    for before, after in zip(torch.split(placed, rows), torch.split(resized, rows), strict=True):
        after.copy_(resize(before.float(), edges).round_())
    return resized


def resize(images: Tensor, edges: Sequence[int]) -> Tensor:
    """Resize (B, C, ...) float images: smaller by the mean over areas, larger by linear interpolation."""
    smaller = [min(edge, size) for edge, size in zip(edges, images.shape[2:], strict=True)]
    if smaller != list(images.shape[2:]):
        images = _shrink(images, smaller)
    if smaller == list(edges):
        return images
    return F.interpolate(images, list(edges), mode="bilinear" if len(edges) == 2 else "trilinear", align_corners=False)


def _shrink(images: Tensor, edges: list[int]) -> Tensor:
    if len(edges) == 2:
        return F.adaptive_avg_pool2d(images, (edges[0], edges[1]))
    return F.adaptive_avg_pool3d(images, (edges[0], edges[1], edges[2]))
