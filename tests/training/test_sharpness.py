"""Sharpness-aware steps, against their formula on small problems."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.study.config import TrainConfig
from hpo.training.loop.passes import Passes
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.pesg import BlockPESG, make_optimizer
from hpo.training.optim.sharpness import Neighbour


def small_network(*, norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4) if norm else nn.Tanh(), nn.Linear(4, 1)).double()


def batches(steps: int) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(1)
    made = []
    for _ in range(steps):
        labels = (torch.rand(16, 1, generator=random) < 0.4).double()
        labels[0], labels[1] = 1, 0
        made.append((torch.randn(16, 5, generator=random, dtype=torch.float64) + labels, labels))
    return made


def trainer(network: nn.Module, **settings: Any) -> tuple[Passes, BlockPESG, nn.Module]:
    config = TrainConfig(**settings)
    loss = make_loss(config, 1)
    optimizer = make_optimizer(config, network.parameters(), loss, torch.Generator().manual_seed(0))
    return Passes(network, loss, optimizer, nullcontext, config.sam), optimizer, loss


def step(passes: Passes, optimizer: BlockPESG, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    optimizer.count()
    found = passes.compute(*batch)
    optimizer.update()
    passes.forget_gradients()
    return found


def sharp_gradients(network: nn.Module, batch: tuple[Tensor, Tensor], radius: float) -> list[Tensor]:
    """The gradients of cross-entropy at w + rho g / |g|."""
    images, labels = batch
    weights = dict(network.named_parameters())

    def loss_at(point: dict[str, Tensor]) -> Tensor:
        logits = torch.func.functional_call(network, point, (images,))
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float())

    gradients = torch.autograd.grad(loss_at(weights), list(weights.values()))
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    moved = {
        name: (weight + radius * gradient / norm).detach().requires_grad_()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    return list(torch.autograd.grad(loss_at(moved), list(moved.values())))


@pytest.mark.parametrize("optimizer_name", ["sgd", "adam"])
@pytest.mark.parametrize("radius", [0.05, 0.5])
def test_40_steps_are_those_of_torchs_optimizer_with_the_gradients_of_the_formula(
    optimizer_name: str, radius: float
) -> None:
    network, twin = small_network(), small_network()
    settings = {"optimizer": optimizer_name, "learning_rate": 0.05, "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0}
    passes, mine, _ = trainer(network, loss="cross_entropy", sam=radius, **settings)
    theirs = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer_name](twin.parameters(), 0.05)
    for batch in batches(40):
        step(passes, mine, batch)
        for weight, gradient in zip(twin.parameters(), sharp_gradients(twin, batch, radius), strict=True):
            weight.grad = gradient
        theirs.step()
    for found, expected in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_neighbour_is_at_the_radius_and_the_weights_come_back_bit_for_bit() -> None:
    network = small_network().float()
    images, labels = batches(1)[0]
    F.binary_cross_entropy_with_logits(network(images.float()), labels.float()).backward()
    before = [weight.detach().clone() for weight in network.parameters()]
    with Neighbour(network.parameters(), 0.3).reached():
        moves = [weight - old for weight, old in zip(network.parameters(), before, strict=True)]
        assert torch.cat([move.flatten() for move in moves]).norm().item() == pytest.approx(0.3, rel=1e-5)
    assert all(torch.equal(weight, old) for weight, old in zip(network.parameters(), before, strict=True))


def test_a_gradient_of_zero_moves_nothing() -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    with Neighbour([weight], 0.3).reached():
        assert torch.equal(weight.detach(), torch.ones(3))


def test_loss_and_scores_are_those_at_the_weights_themselves() -> None:
    network, twin = small_network(), small_network()
    passes, optimizer, _ = trainer(network, loss="cross_entropy", sam=0.5)
    batch = batches(1)[0]
    loss, logits = step(passes, optimizer, batch)
    expected = twin(batch[0]).float()
    torch.testing.assert_close(logits, expected.detach())
    assert loss.item() == pytest.approx(F.binary_cross_entropy_with_logits(expected, batch[1].float()).item())


def test_statistics_of_batchnorm_and_of_the_loss_are_those_of_one_pass_at_the_weights_themselves() -> None:
    """As without it: the pass at the neighbour normalises by its batch, and leaves no trace in them."""
    found = []
    for radius in (0.0, 0.5):
        network = small_network(norm=True)
        settings = {"class_means": "running", "score_scale": "standardised", "sam": radius}
        passes, optimizer, loss = trainer(network, **settings)
        step(passes, optimizer, batches(1)[0])
        found.append([deepcopy(dict(network.named_buffers())), deepcopy(loss.state_dict())])
        assert loss.training
    for without, with_it in zip(*found, strict=True):
        assert without.keys() == with_it.keys()
        assert all(torch.equal(without[name], with_it[name]) for name in without)


def test_class_means_and_alpha_stay_where_they_are_at_the_neighbour() -> None:
    """Their gradients are those at the neighbour's scores, by unmoved a, b and alpha."""
    network, twin = small_network(), small_network()
    batch = batches(1)[0]
    passes, optimizer, loss = trainer(network, sam=0.5)
    optimizer.count()
    passes.compute(*batch)
    assert [value.item() for value in (loss.a, loss.b, loss.alpha)] == [0.0, 0.0, 0.0]
    other = make_loss(TrainConfig(), 1)
    other(twin(batch[0]), batch[1]).backward()
    with Neighbour(twin.parameters(), 0.5).reached():
        twin.zero_grad()
        other.zero_grad()
        other(twin(batch[0]), batch[1]).backward()
    assert torch.equal(loss.a.grad, other.a.grad)
    for found, expected in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(found.grad, expected.grad)


def test_without_a_radius_there_is_one_pass() -> None:
    network = small_network()
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    for radius, count in ((0.0, 1), (0.1, 2)):
        passes, optimizer, _ = trainer(network, sam=radius)
        calls.clear()
        step(passes, optimizer, batches(1)[0])
        assert len(calls) == count
