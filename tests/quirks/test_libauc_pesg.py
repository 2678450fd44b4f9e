"""What LibAUC 2.0.1's PESG does that `hpo.training.optim.pesg` does not, or translates."""

from __future__ import annotations

import pytest
import torch
from libauc.losses import AUCMLoss as LibAUCMLoss
from libauc.optimizers import PESG
from torch import nn

CPU = torch.device("cpu")


def make(**options: object) -> tuple[nn.Parameter, LibAUCMLoss, PESG]:
    weight = nn.Parameter(torch.ones(2))
    loss = LibAUCMLoss(device=CPU)
    defaults = {"lr": 0.1, "epoch_decay": 0.0, "weight_decay": 0.0, "device": CPU, "verbose": False}
    return weight, loss, PESG([weight], loss, **(defaults | options))


def step(weight: nn.Parameter, optimizer: PESG, gradient: float) -> None:
    weight.grad = torch.full_like(weight, gradient)
    optimizer.step()


def test_momentum_is_the_share_of_the_new_gradient() -> None:
    """After gradients 1 and 0 the usual 0.9 leaves an average of 0.9; LibAUC's 0.9 leaves 0.1."""
    weight, _, optimizer = make(momentum=0.9)
    step(weight, optimizer, 1.0)
    step(weight, optimizer, 0.0)
    torch.testing.assert_close(optimizer.state[weight]["momentum_buffer"], torch.full((2,), 0.1))


def test_clip_value_zero_stops_all_learning() -> None:
    weight, _, optimizer = make(clip_value=0.0)
    step(weight, optimizer, 1.0)
    assert torch.equal(weight.detach(), torch.ones(2))


def test_the_reference_is_noise_from_the_global_generator() -> None:
    torch.manual_seed(0)
    _, _, first = make(epoch_decay=0.1)
    _, _, second = make(epoch_decay=0.1)
    assert not torch.equal(first.model_ref[0], second.model_ref[0])
    assert first.model_ref[0].abs().max() < 0.1


def test_epoch_decay_pulls_all_weights_to_about_zero_until_the_reference_moves() -> None:
    weight, _, optimizer = make(epoch_decay=0.5, momentum=1.0)
    for _ in range(200):
        step(weight, optimizer, 0.0)
    assert weight.abs().max() < 0.1


def test_update_regularizer_without_epoch_decay_raises_after_it_cut_the_learning_rate() -> None:
    weight, _, optimizer = make()
    step(weight, optimizer, 1.0)
    with pytest.raises(TypeError):
        optimizer.update_regularizer(decay_factor=10)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_update_regularizer_twice_in_a_row_gives_nan() -> None:
    weight, _, optimizer = make(epoch_decay=0.1)
    step(weight, optimizer, 1.0)
    optimizer.update_regularizer()
    optimizer.update_regularizer()
    assert torch.isnan(optimizer.model_ref[0]).all()


def test_load_state_dict_empties_the_dict_it_is_given() -> None:
    _, _, optimizer = make(epoch_decay=0.1)
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert "model_ref" not in saved


def test_step_replaces_the_storage_of_a_weight() -> None:
    weight, _, optimizer = make()
    before = weight.data_ptr()
    step(weight, optimizer, 1.0)
    assert weight.data_ptr() != before


def test_torchs_adam_descends_alpha_where_it_must_ascend() -> None:
    """Below the margin the gradient of alpha is positive: PESG raises it, Adam sends it below zero without end."""
    labels = torch.tensor([[1.0], [0.0]])
    loss = LibAUCMLoss(device=CPU)
    adam = torch.optim.Adam(loss.parameters(), lr=0.1)
    alphas = []
    for _ in range(100):
        adam.zero_grad()
        loss(torch.tensor([[0.5], [0.5]]), labels).sum().backward()
        adam.step()
        alphas.append(loss.alpha.item())
    assert alphas == sorted(alphas, reverse=True)
    assert alphas[-1] < -5

    loss = LibAUCMLoss(device=CPU)
    pesg = PESG([nn.Parameter(torch.ones(1))], loss, lr=0.1, device=CPU, verbose=False)
    loss(torch.tensor([[0.5], [0.5]]), labels).sum().backward()
    pesg.step()
    assert loss.alpha.item() > 0
