"""Compositional training: AUCM at the weights after a step on cross-entropy."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.aucm import AUCMLoss, make_aucm
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss
from hpo.training.optim.losses.minmax import DualVariables


@runtime_checkable
class CompositionalLoss(Protocol):
    """A loss that is taken at the weights after a gradient step on another, inner one, in each step of training."""

    def inner_loss(self) -> nn.Module:
        """Return the inner loss, of logits and targets."""


def compositional(config: TrainConfig, labels: int) -> CompositionalAUCM:
    """Make it for a configuration."""
    aucm = make_aucm(config, labels, config.aucm_version)
    return CompositionalAUCM(aucm, CrossEntropyLoss(config.label_smoothing))


class CompositionalAUCM(nn.Module):
    """AUCM, whose inner loss is cross-entropy.

    LibAUC's CompositionalAUCLoss returns one or the other by a counter, which is not saved and which a forward pass for
    validation advances. Here it has no counter: training asks for each when it is due (`hpo/training/loop/passes.py`).

    Source: Yuan et al. 2022, "Compositional training for end-to-end deep AUC maximization", ICLR.
    """

    def __init__(self, aucm: AUCMLoss, cross_entropy: CrossEntropyLoss) -> None:
        super().__init__()
        self.aucm, self.cross_entropy = aucm, cross_entropy

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        loss: Tensor = self.aucm(logits, targets)
        return loss

    def inner_loss(self) -> nn.Module:
        """Return cross-entropy."""
        return self.cross_entropy

    def dual_variables(self) -> DualVariables | None:
        """Return those of AUCM."""
        return self.aucm.dual_variables()
