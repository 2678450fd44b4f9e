"""Binary cross-entropy."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hpo.study.config import TrainConfig


def cross_entropy(config: TrainConfig, labels: int) -> CrossEntropyLoss:  # noqa: ARG001
    """Make binary cross-entropy, which has no settings."""
    return CrossEntropyLoss()


class CrossEntropyLoss(nn.Module):
    """Binary cross-entropy of logits, mean over samples and labels; targets may be soft."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        return F.binary_cross_entropy_with_logits(logits.float(), targets.float())
