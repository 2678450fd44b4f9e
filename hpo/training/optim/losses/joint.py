"""Cross-entropy and AUCM together."""

from __future__ import annotations

from torch import Tensor, nn

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.aucm import AUCMLoss, make_aucm
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss
from hpo.training.optim.losses.minmax import DualVariables


def joint(config: TrainConfig, labels: int) -> JointLoss:
    """Make the sum of both for a configuration."""
    aucm = make_aucm(config, labels, config.aucm_version)
    return JointLoss(aucm, CrossEntropyLoss(config.label_smoothing), config.cross_entropy_weight)


class JointLoss(nn.Module):
    """weight * cross-entropy + (1 - weight) * AUCM.

    The gradients of a and b are those of AUCM alone, so that they follow the scores as fast at every weight; alpha's
    update does not depend on it either. Source: the linear combination in Yuan et al. 2022, section 3.
    """

    def __init__(self, aucm: AUCMLoss, cross_entropy: CrossEntropyLoss, weight: float) -> None:
        super().__init__()
        self.aucm, self.cross_entropy, self.weight = aucm, cross_entropy, weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        fixed = logits.detach()
        # Equal to the logits, with the gradient times 1 - weight.
        damped = fixed + (1 - self.weight) * (logits - fixed)
        ordering: Tensor = self.aucm(damped, targets)
        calibration: Tensor = self.cross_entropy(logits, targets)
        return self.weight * (calibration - ordering.detach()) + ordering

    def dual_variables(self) -> DualVariables | None:
        """Return those of AUCM."""
        return self.aucm.dual_variables()
