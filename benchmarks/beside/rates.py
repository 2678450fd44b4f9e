"""What a step needs and what the machine gives: multiply-adds of a network, rates of matrix products."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from hpo.training.model.resnet import resnet18

STEP_PER_FORWARD = 3
"""A backward pass costs two forward passes: gradients of the inputs and of the weights."""

_ROUNDS, _LONG_SECONDS = 5, 0.1


def forward_macs(dimensions: int, edge: int) -> int:
    """Multiply-adds of one image through the network, convolutions and head, counted on a CPU."""
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * math.prod(weight.shape[1:])

    network = resnet18(3 if dimensions == 3 else 2, 1, 0).eval()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, *[edge] * dimensions))
    return total


def matrix_rate(dtype: torch.dtype, device: str) -> float:
    """Best rate of a square matrix product in GFLOP/s: what this machine can do in this precision.

    The matrices grow until a product takes a while, since a processor may have no bf16 and be a hundred times slower.
    """
    size, most, best = 512, 2048 if device == "cpu" else 8192, 0.0
    while True:
        a = torch.randn(size, size).to(device, dtype)
        (a @ a).sum().item()
        rounds = [_seconds(a) for _ in range(_ROUNDS)]
        best = max(best, 2 * size**3 / min(rounds) / 1e9)
        if size >= most or min(rounds) > _LONG_SECONDS:
            return best
        size *= 2


def _seconds(a: Tensor) -> float:
    start = time.perf_counter()
    (a @ a).sum().item()
    return time.perf_counter() - start
