"""Binary cross-entropy, and focal loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.study.config import TrainConfig


def cross_entropy(config: TrainConfig, labels: int) -> CrossEntropyLoss:  # noqa: ARG001
    """Make binary cross-entropy."""
    return CrossEntropyLoss(config.label_smoothing)


def focal(config: TrainConfig, labels: int) -> FocalLoss:  # noqa: ARG001
    """Make focal loss."""
    return FocalLoss(config.focal_gamma, config.label_smoothing)


class CrossEntropyLoss(nn.Module):
    """Binary cross-entropy of logits, mean over samples and labels; targets may be soft.

    smoothing: share e of each target y that is spread evenly over both classes, y (1 - e) + e / 2.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        return F.binary_cross_entropy_with_logits(logits.float(), smoothed(targets.float(), self.smoothing))


class FocalLoss(nn.Module):
    """Cross-entropy with each sample weighted by (1 - p)^gamma, p the probability of its class; mean as there.

    A soft target y counts as a positive by y and as a negative by 1 - y. Source: Lin et al. 2017, arXiv 1708.02002,
    equation 4, which has no balancing factor alpha.
    """

    def __init__(self, gamma: float, smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma, self.smoothing = gamma, smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        positive = smoothed(targets.float(), self.smoothing)
        log_p, log_q = F.logsigmoid(logits.float()), F.logsigmoid(-logits.float())
        # Powers as exponentials: the gradient of 0 ** gamma is infinite where gamma is below 1.
        of_positive, of_negative = torch.exp(self.gamma * log_q) * log_p, torch.exp(self.gamma * log_p) * log_q
        return -(positive * of_positive + (1 - positive) * of_negative).mean()


def smoothed(targets: Tensor, share: float) -> Tensor:
    """Spread a share of each target evenly over both classes."""
    return targets if share == 0 else targets * (1 - share) + share / 2
