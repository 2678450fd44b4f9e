"""Implement MedMNIST's ResNet-18 for 28-pixel images, in 2D and 3D."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.training.model.im2col import Convolution2d, Convolution3d
from hpo.training.model.network import seeded

_WIDTHS = (64, 128, 256, 512)
_NARROW = 4
"""Divisor of the channels of the narrow network: 16 to 128, which bf16 on a CPU bears (docs/LOG.md)."""
_CONV: dict[int, type[Convolution2d] | type[Convolution3d]] = {2: Convolution2d, 3: Convolution3d}
_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def resnet18(dimensions: Literal[2, 3], labels: int, seed: int) -> ResNet18:
    """Make the network, with PyTorch's default initial weights drawn from `seed`; global generators are unchanged.

    Takes (B, 1, H, W), (B, 3, H, W) or (B, 1, D, H, W) float, of any edge from 1; returns (B, labels) float32 logits.
    With one label it has 11,169,345 weights in 2D and 33,143,745 in 3D, in 62 tensors.

    Source: MedMNIST/experiments, models.py (kuangliu/pytorch-cifar); in 3D every convolution, norm and pooling is 3D,
    as by its `Conv3dConverter` without inflation.
    """
    with seeded(seed):
        return ResNet18(dimensions, labels)


class ResNet18(nn.Module):
    """Stem 3x3 of stride 1, no max-pool, four stages of two basic blocks, global average pool, linear head.

    Pooling and head compute in float32 even under autocast: bf16 logits (8 bits of mantissa) would tie in ranking.

    Args:
        dimensions: of the images.
        labels: outputs.
        divisor: of the channels of each stage, 64 to 512.
    """

    def __init__(self, dimensions: Literal[2, 3], labels: int, divisor: int = 1) -> None:
        super().__init__()
        widths = [width // divisor for width in _WIDTHS]
        self.conv1 = _conv(dimensions, 3, widths[0], kernel=3)
        self.bn1 = _NORM[dimensions](widths[0])
        blocks: list[nn.Module] = []
        width = widths[0]
        for stage, stage_width in enumerate(widths):
            blocks.append(BasicBlock(dimensions, width, stage_width, stride=1 if stage == 0 else 2))
            blocks.append(BasicBlock(dimensions, stage_width, stage_width, stride=1))
            width = stage_width
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(widths[-1], labels)

    @classmethod
    def for_images(cls, shape: tuple[int, ...], labels: int) -> ResNet18:
        """Make one for (1, H, W), (3, H, W) or (1, D, H, W) images; see `NetworkFactory`."""
        return cls(2 if len(shape) == 3 else 3, labels)

    @classmethod
    def narrow(cls, shape: tuple[int, ...], labels: int) -> ResNet18:
        """Likewise, with a quarter of the channels: a sixteenth of the weights and of the arithmetic."""
        return cls(2 if len(shape) == 3 else 3, labels, _NARROW)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, ...) images to (B, labels) logits; greyscale counts as three equal channels."""
        features = self.blocks(F.relu(self.bn1(self._stem(images)), inplace=True))
        with torch.autocast(features.device.type, enabled=False):
            pooled: Tensor = features.float().flatten(2).mean(2)
            logits: Tensor = self.linear(pooled)
        return logits

    def _stem(self, images: Tensor) -> Tensor:
        out: Tensor = self.conv1(images.expand(-1, 3, *images.shape[2:]))
        return out


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, added to the input, which is projected where the shape changes."""

    def __init__(self, dimensions: Literal[2, 3], width_in: int, width: int, stride: int) -> None:
        super().__init__()
        norm = _NORM[dimensions]
        self.conv1 = _conv(dimensions, width_in, width, kernel=3, stride=stride)
        self.bn1 = norm(width)
        self.conv2 = _conv(dimensions, width, width, kernel=3)
        self.bn2 = norm(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(_conv(dimensions, width_in, width, kernel=1, stride=stride), norm(width))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, width_in, ...) to (B, width, ...), each edge divided by the stride, rounded up."""
        out = F.relu(self.bn1(self.conv1(features)), inplace=True)
        out = self.bn2(self.conv2(out))
        out = out + self.shortcut(features)
        return F.relu(out, inplace=True)


def _conv(dimensions: int, width_in: int, width: int, kernel: int, stride: int = 1) -> Convolution2d | Convolution3d:
    return _CONV[dimensions](width_in, width, kernel, stride=stride, padding=kernel // 2, bias=False)
