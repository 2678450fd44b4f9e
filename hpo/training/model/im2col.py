"""Compute convolutions of small feature maps on a CPU as one matrix product each; all others are PyTorch's."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_EDGE_WITH_TILES = 4
_EDGE = 2


class Convolution2d(nn.Conv2d):
    """`nn.Conv2d` without bias, computed by `as_products` if `pays` is true."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H', W')."""
        return as_products(input, self) if pays(input, self) else super().forward(input)


class Convolution3d(nn.Conv3d):
    """`nn.Conv3d` without bias, computed by `as_products` if `pays` is true."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, D, H, W) to (B, O, D', H', W')."""
        return as_products(input, self) if pays(input, self) else super().forward(input)


def pays(features: Tensor, layer: nn.Conv2d | nn.Conv3d) -> bool:
    """Return whether to convolve by products: on a CPU in bf16, for output edges up to 4 with AMX and up to 2 without.

    With AMX, oneDNN (3.12, in PyTorch 2.13) is slow if an output row fills a small part of a tile of 16 rows:
    `benchmarks/convolutions.py`. At edges 1 and 2 it is slow without AMX too, and in bf16 leaves parts of a weight
    gradient uninitialised, 1e34 or nan (tests/quirks/test_torch_bf16.py). The rule depends on instructions and sizes
    only, so that all processes of a machine agree.
    """
    if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    beyond_kernel = 2 * int(layer.padding[0]) - layer.kernel_size[0]
    edge = max((size + beyond_kernel) // layer.stride[0] + 1 for size in features.shape[2:])
    return edge <= (_EDGE_WITH_TILES if has_tiles() else _EDGE)


@cache
def has_tiles() -> bool:
    """Return whether the CPU has bf16 matrix tiles (AMX)."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def as_products(features: Tensor, layer: nn.Conv2d | nn.Conv3d) -> Tensor:
    """Apply the layer to (B, C, ...) features, in autocast's precision and the features' memory format."""
    dtype = torch.get_autocast_dtype(features.device.type)
    stride, padding = layer.stride[0], int(layer.padding[0])
    out: Tensor = _Products.apply(features.to(dtype), layer.weight.to(dtype), stride, padding)  # type: ignore[no-untyped-call]
    return out


class _Products(torch.autograd.Function):
    """Columns of the features times the weights, with both gradients as matrix products."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        columns, edges = _columns(features, weight.shape[2], stride, padding)
        out = columns @ _last(weight).flatten(1).T
        return _first(out.view(len(features), *edges, -1)).contiguous(memory_format=_layout(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        wants_features, wants_weight, *_ = ctx.needs_input_grad
        rows = _last(upstream).flatten(0, -2)
        of_features = of_weight = None
        if wants_weight:
            columns, _ = _columns(features, weight.shape[2], ctx.stride, ctx.padding)
            stacked = (rows.T @ columns).view(_last(weight).shape)
            of_weight = _first(stacked).contiguous(memory_format=_layout(weight))
        if wants_features:
            of_columns = rows @ _last(weight).flatten(1)
            of_features = _folded(of_columns, features, upstream, weight.shape[2], ctx.stride, ctx.padding)
        return of_features, of_weight, None, None


def _columns(features: Tensor, kernel: int, stride: int, padding: int) -> tuple[Tensor, list[int]]:
    """Unfold (B, C, ...) to (B * places, taps * C), the kernel's input at each place, and the output's edges."""
    axes = features.dim() - 2
    windows = nn.functional.pad(_last(features), (0, 0, *(padding, padding) * axes))
    for axis in range(1, 1 + axes):
        windows = windows.unfold(axis, kernel, stride)
    channels_to_the_end = windows.movedim(1 + axes, -1)
    edges = list(windows.shape[1 : 1 + axes])
    return channels_to_the_end.reshape(len(features) * math.prod(edges), -1), edges


def _folded(columns: Tensor, features: Tensor, out: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Sum columns back into the features' shape and layout, in float32 at least."""
    axes = features.dim() - 2
    edges = out.shape[2:]
    of_taps = columns.view(len(features), *edges, kernel**axes, -1)
    padded = (len(features), *(edge + 2 * padding for edge in features.shape[2:]), features.shape[1])
    wide = columns.new_zeros(padded, dtype=torch.promote_types(columns.dtype, torch.float32))
    for number, tap in enumerate(product(range(kernel), repeat=axes)):
        seen = tuple(slice(start, start + stride * edge, stride) for start, edge in zip(tap, edges, strict=True))
        wide[:, *seen] += of_taps[..., number, :]
    inner = tuple(slice(padding, padding + edge) for edge in features.shape[2:])
    return _first(wide[:, *inner]).to(columns.dtype, memory_format=_layout(features))


def _last(tensor: Tensor) -> Tensor:
    """Move channels to the last axis."""
    return tensor.movedim(1, -1)


def _first(tensor: Tensor) -> Tensor:
    """Move channels to the second axis."""
    return tensor.movedim(-1, 1)


def _layout(tensor: Tensor) -> torch.memory_format:
    """Return the memory format of a tensor."""
    last = torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d
    return last if tensor.is_contiguous(memory_format=last) else torch.contiguous_format
