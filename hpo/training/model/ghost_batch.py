"""BatchNorm over parts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

_LEAST_SIZE = 2


def use_ghost_batches(network: nn.Module, size: int) -> None:
    """Let each BatchNorm of a network normalise parts of at least `size` samples; 0 leaves it as it is.

    Names of weights and statistics stay the same, and scoring does not change.
    """
    if size == 0:
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, GhostBatchNorm):
                setattr(parent, name, GhostBatchNorm(child, size))


class GhostBatchNorm(_BatchNorm):
    """A BatchNorm that in training takes mean and variance of each of `len(batch) // size` parts of a batch.

    What a network of small batches sees of its batches is the noise of these statistics, and here it is the same, at
    the gradient, the number of steps and about the cost of a large batch. Running statistics move as far per batch as
    without parts: with momentum m and n parts, 1 - (1 - m)^(1/n) for each. Where they are averaged plainly (momentum
    None, after weight averaging) or the batch is too small for two parts, the whole batch counts.

    Source: Hoffer et al. 2017, arXiv 1705.08741, section 4.
    """

    def __init__(self, norm: _BatchNorm, size: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.size = max(size, _LEAST_SIZE)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (B, C, ...) features."""
        count = len(features) // self.size
        if not self.training or self.momentum is None or count < 2:
            whole: Tensor = super().forward(features)
            return whole
        tracks = self.track_running_stats and self.running_mean is not None
        if tracks and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        mean, variance = (self.running_mean, self.running_var) if tracks else (None, None)
        momentum = 1 - (1 - self.momentum) ** (1 / count)
        parts = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, momentum, self.eps)
            for part in features.tensor_split(count)
        ]
        return torch.cat(parts)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions; the norm that this one replaces was made for the network's."""
