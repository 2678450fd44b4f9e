"""The arithmetic of optimizers on the tensors of one block, in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hpo.training.optim.blocks import Block
from hpo.training.optim.device_scalars import Number


def add_decay(grads: list[Tensor], block: Block, group: dict[str, Any], is_decoupled: bool = False) -> None:
    """Clip the gradients, then add epoch_decay (w - reference) + weight_decay w, unless weight decay is decoupled."""
    clip, epoch_decay = group["clip_value"], group["epoch_decay"]
    weight_decay = 0.0 if is_decoupled else group["weight_decay"]
    if clip > 0:
        torch._foreach_clamp_min_(grads, -clip)
        torch._foreach_clamp_max_(grads, clip)
    if epoch_decay + weight_decay > 0:
        torch._foreach_add_(grads, block.parameters, alpha=epoch_decay + weight_decay)
    if epoch_decay > 0:
        torch._foreach_add_(grads, block.reference, alpha=-epoch_decay)


def descend(grads: list[Tensor], block: Block, momentum: float, move: Number, first: bool) -> None:
    """Apply w += move * average of gradients; the average starts as the first gradient."""
    if block.first:
        if first:
            torch._foreach_copy_(block.first, grads)
        else:
            torch._foreach_lerp_(block.first, grads, momentum)
        torch._foreach_copy_(grads, block.first)
    torch._foreach_mul_(grads, move)
    torch._foreach_add_(block.parameters, grads)


def descend_adam(
    grads: list[Tensor], block: Block, betas: tuple[float, float], size: Number, least_size: Number
) -> None:
    """Apply w += average / (size * sqrt(average of squares) + least_size): Kingma and Ba 2015, bias-corrected."""
    beta1, beta2 = betas
    torch._foreach_lerp_(block.first, grads, 1 - beta1)
    torch._foreach_mul_(block.second, beta2)
    torch._foreach_addcmul_(block.second, grads, grads, 1 - beta2)
    sizes = torch._foreach_sqrt(block.second)
    torch._foreach_mul_(sizes, size)
    _add_number(sizes, least_size)
    torch._foreach_addcdiv_(block.parameters, block.first, sizes)


def descend_lion(grads: list[Tensor], block: Block, betas: tuple[float, float], move: Number) -> None:
    """Apply w += move * sign(b1 m + (1 - b1) g), then m = b2 m + (1 - b2) g: Chen et al. 2023, arXiv 2302.06675."""
    beta1, beta2 = betas
    directions = torch._foreach_lerp(block.first, grads, 1 - beta1)
    torch._foreach_sign_(directions)
    torch._foreach_mul_(directions, move)
    torch._foreach_add_(block.parameters, directions)
    torch._foreach_lerp_(block.first, grads, 1 - beta2)


def shrink(block: Block, kept: Number) -> None:
    """Apply w *= kept: weight decay apart from the gradient. Loshchilov and Hutter 2019, arXiv 1711.05101."""
    torch._foreach_mul_(block.parameters, kept)


def _add_number(tensors: tuple[Tensor, ...] | list[Tensor], number: Number) -> None:
    # Without `alpha` PyTorch takes a tensor for a scalar and waits for the device to read it: _foreach_add_.Scalar.
    if isinstance(number, Tensor):
        torch._foreach_add_(tensors, number, alpha=1.0)
    else:
        torch._foreach_add_(tensors, number)
