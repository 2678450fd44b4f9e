"""Make the loss of a configuration."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from hpo.study.choices import LOSSES
from hpo.study.config import TrainConfig

LossFactory = Callable[[TrainConfig, int], nn.Module]
"""Makes a loss for a number of labels: (B, L) logits of any float type and (B, L) targets in [0, 1] to a scalar."""


def make_loss(config: TrainConfig, labels: int) -> nn.Module:
    """Make the loss of a configuration for `labels` columns."""
    factory: LossFactory = LOSSES.find(config.loss)
    loss = factory(config, labels)
    # Of a plug-in it may be anything.
    if not isinstance(loss, nn.Module):
        raise TypeError(f"the function of loss {config.loss} returns {type(loss).__name__}, not an nn.Module")
    return loss
