"""What LibAUC 2.0.1's compositional training does that `loss = "compositional"` does not.

A test that fails here is a work-around to drop. The step for step comparison is tests/training/test_compositional.py.
"""

from __future__ import annotations

import pytest
import torch
from libauc.losses import CompositionalAUCLoss
from libauc.optimizers import PDSCA
from torch import nn

CPU = torch.device("cpu")
IMAGES = torch.tensor([[1.0], [2.0], [-1.0], [-2.0]])
LABELS = torch.tensor([[1.0], [1.0], [0.0], [0.0]])


def made() -> tuple[nn.Module, CompositionalAUCLoss, PDSCA]:
    network = nn.Linear(1, 1)
    loss = CompositionalAUCLoss(device=CPU)
    return network, loss, PDSCA(network.parameters(), loss, verbose=False, device=CPU)


@pytest.mark.slow
def test_every_step_after_the_first_on_aucm_is_taken_as_one_on_aucm() -> None:
    """zero_grad leaves alpha's gradient, by whose presence PDSCA tells the steps apart: momentum takes in both."""
    network, loss, optimizer = made()
    kinds = []
    for _ in range(4):
        before = loss.alpha.clone()
        optimizer.zero_grad()
        loss(torch.sigmoid(network(IMAGES)), LABELS).backward()
        optimizer.step()
        kinds.append("cross-entropy" if torch.equal(before, loss.alpha) else "AUCM")
    assert kinds == ["cross-entropy", "AUCM", "AUCM", "AUCM"]


@pytest.mark.slow
def test_its_counter_is_not_saved_and_a_validation_pass_advances_it() -> None:
    network, loss, _ = made()
    with torch.no_grad():
        first, second = (loss(torch.sigmoid(network(IMAGES)), LABELS) for _ in range(2))
    assert first.item() != pytest.approx(second.item())
    assert set(loss.state_dict()) == {"a", "b", "alpha"}


def test_k_inner_steps_are_followed_by_k_outer_ones_not_by_one() -> None:
    network, loss, _ = made()
    scores = torch.sigmoid(network(IMAGES)).detach()
    entropy = nn.functional.binary_cross_entropy(scores, LABELS).item()
    values = [loss(scores, LABELS, k=2).item() for _ in range(6)]
    assert [value == pytest.approx(entropy) for value in values] == [True, True, False, False, True, True]


def test_the_mean_of_a_and_b_for_the_reference_is_halved() -> None:
    """They are summed after steps on AUCM only, and divided by the number of all steps."""
    network, loss, optimizer = made()
    values = []
    for _ in range(6):
        optimizer.zero_grad()
        loss.alpha.grad = None
        loss(torch.sigmoid(network(IMAGES)), LABELS).backward()
        optimizer.step()
        values.append(loss.a.item())
    optimizer.update_regularizer()
    reference = optimizer.model_ref[-2].item()
    assert reference == pytest.approx(sum(values[1::2]) / 6, rel=1e-4)
    assert reference < 0.7 * sum(values) / 6
