"""What the optimizer has to know of a loss that is minimised over the weights and maximised over alpha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

ALPHA_MAX = 999.0
"""As in LibAUC."""


@dataclass(frozen=True)
class DualVariables:
    """The variables that PESG updates besides the weights: class means a and b, and alpha >= 0, (L,) each; margin m.

    The loss provides the gradients of a and b ready to use; alpha follows the gradient of (alpha - (m + b - a))^2.
    """

    a: nn.Parameter
    b: nn.Parameter
    alpha: nn.Parameter
    margin: float


@runtime_checkable
class MinMaxLoss(Protocol):
    """A loss that is minimised over the weights and further variables, and maximised over alpha."""

    def dual_variables(self) -> DualVariables | None:
        """Return the variables for the optimizer to update; None if the loss updates them itself."""
