"""Compositional training, step for step against LibAUC's PDSCA."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from libauc.losses import CompositionalAUCLoss
from libauc.optimizers import PDSCA
from torch import Tensor, nn

from hpo.study.config import TrainConfig
from hpo.training.loop.passes import Passes, fixed_statistics
from hpo.training.optim.losses.compositional import CompositionalAUCM, CompositionalLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.pesg import BlockPESG, make_optimizer

CPU = torch.device("cpu")


def small_network(seed: int = 0, *, norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        middle = nn.BatchNorm1d(4) if norm else nn.Tanh()
        return nn.Sequential(nn.Linear(5, 4), middle, nn.Linear(4, 1))


def batches(steps: int) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(1)
    made = []
    for _ in range(steps):
        labels = (torch.rand(16, 1, generator=random) < 0.4).float()
        labels[0], labels[1] = 1, 0
        made.append((torch.randn(16, 5, generator=random) + labels, labels))
    return made


def ours(network: nn.Module, **settings: object) -> tuple[Passes, BlockPESG, CompositionalAUCM]:
    config = TrainConfig(**({"loss": "compositional", "aucm_version": "v1", "learning_rate": 0.1} | settings))
    loss = make_loss(config, 1)
    assert isinstance(loss, CompositionalAUCM)
    optimizer = make_optimizer(config, network.parameters(), loss, torch.Generator().manual_seed(0))
    optimizer.set_learning_rate(config.learning_rate, config.inner_learning_rate)
    return Passes(network, loss, optimizer, nullcontext), optimizer, loss


def step(passes: Passes, optimizer: BlockPESG, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    optimizer.count()
    found = passes.compute(*batch)
    optimizer.update()
    passes.forget_gradients()
    return found


@pytest.mark.parametrize("inner_momentum", [0.01, 0.9])
@pytest.mark.parametrize("momentum", [0.001, 0.9])
@pytest.mark.parametrize("epoch_decay", [0.0, 0.05])
def test_60_steps_equal_120_of_libaucs_whose_alpha_has_its_gradient_cleared(
    inner_momentum: float, momentum: float, epoch_decay: float
) -> None:
    """Each of our steps is two of theirs on one batch: cross-entropy, then AUCM."""
    network, twin = small_network(), small_network()
    settings = {"inner_learning_rate": 0.05, "inner_momentum": inner_momentum, "momentum": momentum, "margin": 0.9}
    passes, optimizer, loss = ours(network, epoch_decay=epoch_decay, weight_decay=1e-3, clip=0.1, **settings)
    their_loss = CompositionalAUCLoss(margin=0.9, device=CPU)
    theirs = PDSCA(
        twin.parameters(),
        their_loss,
        lr=0.1,
        lr0=0.05,
        beta1=1 - inner_momentum,
        beta2=1 - momentum,
        clip_value=0.1,
        weight_decay=1e-3,
        epoch_decay=epoch_decay,
        verbose=False,
        device=CPU,
    )
    if epoch_decay:
        for reference, drawn in zip(theirs.model_ref, optimizer.model_ref, strict=True):
            reference.data = drawn.clone()
    for batch in batches(60):
        step(passes, optimizer, batch)
        for _ in ("cross-entropy", "AUCM"):
            theirs.zero_grad()
            their_loss.alpha.grad = None
            their_loss(torch.sigmoid(twin(batch[0])), batch[1]).backward()
            theirs.step()
    aucm = loss.aucm
    for mine, their in zip(
        [*network.parameters(), aucm.a, aucm.b, aucm.alpha],
        [*twin.parameters(), their_loss.a, their_loss.b, their_loss.alpha],
        strict=True,
    ):
        torch.testing.assert_close(mine, their, rtol=1e-3, atol=1e-5)
    if epoch_decay:
        # LibAUC sums a and b after the second of both steps only, and so halves their mean.
        for summed, expected in zip(optimizer.model_acc[:-2], theirs.model_acc[:-2], strict=True):
            torch.testing.assert_close(summed, expected, rtol=1e-3, atol=1e-4)
        both = 2 * theirs.model_acc[-2] - their_loss.a.detach()
        torch.testing.assert_close(optimizer.model_acc[-2], both, rtol=1e-3, atol=1e-4)
        assert optimizer.T == theirs.T == 120


def test_with_adam_the_inner_step_is_the_same_and_the_outer_one_adams() -> None:
    network, twin = small_network(), small_network()
    passes, optimizer, loss = ours(
        network, optimizer="adam", epoch_decay=0.0, weight_decay=0.0, inner_learning_rate=0.3, learning_rate=0.01
    )
    images, targets = batches(1)[0]
    step(passes, optimizer, (images, targets))
    entropy = nn.functional.binary_cross_entropy_with_logits(twin(images), targets)
    for p, g in zip(twin.parameters(), torch.autograd.grad(entropy, list(twin.parameters())), strict=True):
        p.data -= 0.3 * g
    adam = torch.optim.Adam(twin.parameters(), 0.01)
    make_loss(TrainConfig(loss="aucm_v1"), 1)(twin(images), targets).backward()
    adam.step()
    for mine, their in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-6)
    assert loss.aucm.alpha.item() == pytest.approx(2 * 0.01 * (1 + (loss.aucm.b - loss.aucm.a).item()), rel=0.05)


def test_the_mean_of_a_and_b_over_both_steps_is_theirs() -> None:
    network = small_network()
    passes, optimizer, loss = ours(network, epoch_decay=0.01)
    values = []
    for batch in batches(4):
        values += [loss.aucm.a.item()]
        step(passes, optimizer, batch)
        values += [loss.aucm.a.item()]
    optimizer.update_regularizer()
    assert optimizer.model_ref[-2].item() == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_the_loss_and_the_scores_are_those_at_the_moved_weights() -> None:
    network = small_network()
    passes, optimizer, loss = ours(network, inner_learning_rate=0.5, learning_rate=1e-6)
    images, targets = batches(1)[0]
    before = network(images).detach()
    optimizer.count()
    value, logits = passes.compute(images, targets)
    assert not torch.allclose(before, logits)
    torch.testing.assert_close(network(images).detach(), logits)
    torch.testing.assert_close(value, loss(logits, targets).detach())


def test_statistics_of_batchnorm_are_updated_once_a_step_by_the_outer_pass() -> None:
    network, twin = small_network(norm=True), small_network(norm=True)
    passes, optimizer, _ = ours(network, inner_learning_rate=0.5)
    images, targets = batches(1)[0]
    optimizer.count()
    passes.compute(images, targets)
    twin.load_state_dict({**network.state_dict(), **dict(twin.named_buffers())})
    twin(images)
    for mine, expected in zip(network.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(mine, expected)


def test_fixed_statistics_normalise_by_the_batch_and_stay() -> None:
    network, twin = small_network(norm=True), small_network(norm=True)
    images = batches(1)[0][0]
    with fixed_statistics(network):
        inside = network(images)
    assert torch.equal(inside, twin(images))
    assert network[1].num_batches_tracked.item() == 0
    assert torch.equal(network[1].running_mean, torch.zeros(4))
    network(images)
    assert network[1].num_batches_tracked.item() == 1


def test_a_saved_optimizer_goes_on_bit_equal() -> None:
    network, twin = small_network(), small_network()
    (passes, optimizer, loss), (passes_2, optimizer_2, loss_2) = (
        ours(each, epoch_decay=0.01, inner_momentum=0.5, optimizer="adam") for each in (network, twin)
    )
    given = batches(8)
    for batch in given[:4]:
        step(passes, optimizer, batch)
    twin.load_state_dict(network.state_dict())
    loss_2.load_state_dict(loss.state_dict())
    optimizer_2.load_state_dict(optimizer.state_dict())
    for batch in given[4:]:
        step(passes, optimizer, batch)
        step(passes_2, optimizer_2, batch)
    assert all(torch.equal(x, y) for x, y in zip(network.parameters(), twin.parameters(), strict=True))


def test_a_loss_of_ones_own_may_have_an_inner_loss() -> None:
    class Mine(nn.Module):
        def inner_loss(self) -> nn.Module:
            return nn.BCEWithLogitsLoss()

    assert isinstance(Mine(), CompositionalLoss)
    assert not isinstance(nn.BCEWithLogitsLoss(), CompositionalLoss)
