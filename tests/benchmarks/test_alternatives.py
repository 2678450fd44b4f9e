"""The ways that are measured beside each other do the same."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.func import stack_module_state

from benchmarks.alternatives import fused, in_turn
from hpo.training.model.resnet import BasicBlock


class Thin(nn.Module):
    """A block of the network, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.block = BasicBlock(2, 1, 16, stride=2)
        self.linear = nn.Linear(16, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) to (B, 1)."""
        logits: torch.Tensor = self.linear(self.block(images).mean((2, 3)))
        return logits


@pytest.mark.slow
def test_fused_folds_have_the_gradients_of_folds_in_turn() -> None:
    torch.manual_seed(0)
    networks: list[nn.Module] = [Thin() for _ in range(3)]
    images, targets = torch.rand(3, 8, 1, 10, 10), torch.randint(0, 2, (3, 8, 1)).float()
    stacked = stack_module_state(networks)
    fused(networks[0], stacked, images, targets, nullcontext)()
    in_turn(networks, images, targets, nullcontext)()
    for name, weights in stacked[0].items():
        assert weights.grad is not None
        for number, network in enumerate(networks):
            torch.testing.assert_close(weights.grad[number], network.get_parameter(name).grad, rtol=1e-4, atol=1e-6)
