"""PESG by blocks, against LibAUC's, torch's SGD and torch's Adam."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from copy import deepcopy
from functools import cache

import pytest
import torch
from libauc.losses import AUCMLoss as LibAUCMLoss
from libauc.optimizers import PESG
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.study.config import TrainConfig
from hpo.training.optim import blocks
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.pesg import BlockPESG, make_optimizer

MODES = ("sgd", "adam", "adamw", "lion")


@pytest.fixture(params=[7, 1 << 19], ids=["many blocks", "one block"], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", request.param)


def small_network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def data(steps: int, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(steps):
        labels = (torch.rand(16, 1, generator=random) < 0.4).double()
        labels[0], labels[1] = 1, 0
        batches.append((torch.randn(16, 5, generator=random, dtype=torch.float64) + labels, labels))
    return batches


def ours(network: nn.Module, loss: AUCMLoss | CrossEntropyLoss, **options: object) -> BlockPESG:
    return BlockPESG(list(network.parameters()), loss, **options)


STEPS, UPDATES = 100, (40, 75)


def options_of(mode: str, momentum: float) -> dict[str, object]:
    return {"lr": 0.02, "mode": mode, "clip_value": 0.01, "weight_decay": 1e-3, "momentum": momentum}


@cache
def libaucs_steps(mode: str, momentum: float, epoch_decay: float) -> tuple[list[Tensor], list[Tensor]]:
    """The reference weights that LibAUC's optimizer begins with (none without epoch decay), and what it ends with."""
    network, loss = small_network(), LibAUCMLoss(margin=0.9, device=torch.device("cpu")).double()
    optimizer = PESG(
        network.parameters(),
        loss,
        epoch_decay=epoch_decay,
        device=torch.device("cpu"),
        verbose=False,
        **options_of(mode, momentum),
    )
    references = []
    if epoch_decay:
        random = torch.Generator().manual_seed(2)
        for reference in optimizer.model_ref:
            reference.data = 0.01 * torch.randn(reference.shape, generator=random, dtype=torch.float64)
            references.append(reference.data.clone())
        optimizer.model_acc = [value.double() for value in optimizer.model_acc]
        optimizer.param_groups[0]["model_acc"] = optimizer.model_acc
    for step, (images, labels) in enumerate(data(STEPS)):
        if step in UPDATES and epoch_decay:
            optimizer.update_regularizer(10)
        optimizer.zero_grad()
        loss(torch.sigmoid(network(images)), labels).backward()
        optimizer.step()
    return references, [*network.parameters(), loss.a, loss.b, loss.alpha]


@pytest.mark.parametrize("mode", ["sgd", "adam"])
@pytest.mark.parametrize("momentum", [0.1, 0.9, 1.0])
@pytest.mark.parametrize("epoch_decay", [0.0, 0.05])
@pytest.mark.parametrize("capturable", [False, True])
def test_100_steps_equal_libaucs_with_the_regularizer_updated_twice(
    mode: str, momentum: float, epoch_decay: float, capturable: bool
) -> None:
    references, theirs = libaucs_steps(mode, momentum, epoch_decay)
    network, loss = small_network(), AUCMLoss(1, 0.9, "v1").double()
    mine = ours(network, loss, epoch_decay=epoch_decay, capturable=capturable, **options_of(mode, momentum))
    if epoch_decay:
        mine.model_ref[:] = [reference.clone() for reference in references]
    for step, (images, labels) in enumerate(data(STEPS)):
        if step in UPDATES and epoch_decay:
            mine.update_regularizer(10)
        mine.zero_grad()
        loss(network(images), labels).backward()
        mine.step()
    for mine_is, theirs_is in zip([*network.parameters(), loss.a, loss.b, loss.alpha], theirs, strict=True):
        torch.testing.assert_close(mine_is, theirs_is, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_with_cross_entropy_sgd_mode_is_torchs_sgd_with_dampening(momentum: float, weight_decay: float) -> None:
    """PESG averages gradients, buf = m buf + (1 - m) g, which torch calls dampening = momentum."""
    config = TrainConfig(
        loss="cross_entropy", learning_rate=0.1, momentum=momentum, weight_decay=weight_decay, clip=0.0
    )
    network, twin = small_network(), small_network()
    mine = make_optimizer(config, network.parameters(), CrossEntropyLoss(), torch.Generator())
    theirs = torch.optim.SGD(twin.parameters(), 0.1, momentum=momentum, dampening=momentum, weight_decay=weight_decay)
    compare(network, mine, twin, theirs)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_with_cross_entropy_adam_mode_is_torchs_adam(weight_decay: float, capturable: bool) -> None:
    config = TrainConfig(
        loss="cross_entropy", optimizer="adam", learning_rate=0.01, weight_decay=weight_decay, clip=0.0
    )
    network, twin = small_network(), small_network()
    mine = make_optimizer(config, network.parameters(), CrossEntropyLoss(), torch.Generator(), capturable)
    theirs = torch.optim.Adam(twin.parameters(), 0.01, weight_decay=weight_decay)
    compare(network, mine, twin, theirs)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_with_cross_entropy_adamw_mode_is_torchs_adamw(weight_decay: float, capturable: bool) -> None:
    config = TrainConfig(
        loss="cross_entropy", optimizer="adamw", learning_rate=0.01, weight_decay=weight_decay, clip=0.0
    )
    network, twin = small_network(), small_network()
    mine = make_optimizer(config, network.parameters(), CrossEntropyLoss(), torch.Generator(), capturable)
    theirs = torch.optim.AdamW(twin.parameters(), 0.01, weight_decay=weight_decay)
    compare(network, mine, twin, theirs)


@pytest.mark.parametrize("capturable", [False, True])
def test_a_gradient_longer_than_the_bound_is_scaled_down_before_it_is_clipped_and_decays(capturable: bool) -> None:
    """A step of plain descent moves weights by -rate (clip(g min(1, bound / |g|)) + decay w), with g their gradient."""
    config = TrainConfig(
        loss="cross_entropy", learning_rate=0.1, momentum=0.0, weight_decay=0.01, clip=0.1, clip_norm=0.35
    )
    network = small_network()
    mine = make_optimizer(config, network.parameters(), CrossEntropyLoss(), torch.Generator(), capturable)
    longer = []
    for images, labels in data(30):
        mine.zero_grad()
        F.binary_cross_entropy_with_logits(network(images), labels).backward()
        before = [(weight.detach().clone(), weight.grad.clone()) for weight in network.parameters()]
        length = torch.cat([gradient.flatten() for _, gradient in before]).norm()
        longer.append(length > 0.35)
        mine.step()
        for weight, (old, gradient) in zip(network.parameters(), before, strict=True):
            bounded = (gradient * min(1.0, 0.35 / length)).clamp(-0.1, 0.1)
            torch.testing.assert_close(weight.detach(), old - 0.1 * (bounded + 0.01 * old), rtol=1e-5, atol=1e-8)
    assert 0 < sum(longer) < len(longer)


def test_the_norm_is_that_of_the_weights_and_the_class_means_are_not_scaled_with_them() -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
    optimizer = make_optimizer(TrainConfig(clip_norm=0.01), network.parameters(), loss, torch.Generator())
    [(images, labels)] = data(1)
    loss(network(images), labels).backward()
    of_means = [loss.a.grad.clone(), loss.b.grad.clone()]
    optimizer._bound_norm()
    norm = torch.cat([weight.grad.flatten() for weight in network.parameters()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)
    assert torch.equal(torch.stack([loss.a.grad, loss.b.grad]), torch.stack(of_means))


@pytest.mark.parametrize("mode", MODES)
def test_a_bound_that_no_gradient_reaches_changes_no_bit(mode: str) -> None:
    ends = []
    for bound in (0.0, 1000.0):
        network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
        optimizer = ours(network, loss, lr=0.05, mode=mode, clip_norm=bound)
        for images, labels in data(20):
            optimizer.zero_grad()
            loss(network(images), labels).backward()
            optimizer.step()
        ends.append([weight.detach() for weight in network.parameters()])
    assert all(torch.equal(without, with_it) for without, with_it in zip(*ends, strict=True))


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for w in group["params"]:
                m = self.state[w].setdefault("m", torch.zeros_like(w))
                c = 0.9 * m + (1 - 0.9) * w.grad
                w -= group["lr"] * (torch.sign(c) + group["weight_decay"] * w)
                m.copy_(0.99 * m + (1 - 0.99) * w.grad)


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_with_cross_entropy_lion_mode_is_its_algorithm(weight_decay: float, capturable: bool) -> None:
    config = TrainConfig(
        loss="cross_entropy", optimizer="lion", learning_rate=0.003, weight_decay=weight_decay, clip=0.0
    )
    network, twin = small_network(), small_network()
    mine = make_optimizer(config, network.parameters(), CrossEntropyLoss(), torch.Generator(), capturable)
    compare(network, mine, twin, Lion(twin.parameters(), 0.003, weight_decay))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_an_update_recorded_once_is_right_for_later_steps(mode: str) -> None:
    """As a CUDA graph would: what `update` reads is where it was at the second step, the numbers are new."""
    network, twin = small_network(), small_network()
    loss, twin_loss = (AUCMLoss(1, 1.0, "v1").double() for _ in range(2))
    options = {"lr": 0.05, "mode": mode, "epoch_decay": 0.01, "momentum": 0.3, "weight_decay": 0.1}
    plain, capturable = ours(network, loss, **options), ours(twin, twin_loss, capturable=True, **options)
    capturable.model_ref[:] = [reference.clone() for reference in plain.model_ref]
    numbers: dict[str, Tensor] = {}
    for step, (images, labels) in enumerate(data(200)):
        if step in (70, 140):
            for optimizer in (plain, capturable):
                optimizer.set_learning_rate(0.05 / (1 + step))
                optimizer.update_regularizer()
        for model, model_loss, optimizer in ((network, loss, plain), (twin, twin_loss, capturable)):
            optimizer.zero_grad()
            model_loss(model(images), labels).backward()
            optimizer.step()
        read = capturable._numbers._tensors
        numbers = numbers or dict(read)
        assert all(numbers[name] is tensor for name, tensor in read.items())
    for x, y in zip([*network.parameters(), loss.alpha], [*twin.parameters(), twin_loss.alpha], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


def compare(network: nn.Module, mine: BlockPESG, twin: nn.Module, theirs: torch.optim.Optimizer) -> None:
    for images, labels in data(100):
        for model, optimizer in ((network, mine), (twin, theirs)):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(images), labels).backward()
            optimizer.step()
    for mine_is, theirs_is in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine_is, theirs_is, rtol=1e-12, atol=1e-14)


def test_the_reference_is_noise_of_the_given_generator_or_the_weights_as_they_are() -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1")
    noise = make_optimizer(TrainConfig(), network.parameters(), loss, torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    again = make_optimizer(TrainConfig(), network.parameters(), loss, torch.Generator().manual_seed(3))
    assert all(torch.equal(x, y) for x, y in zip(noise.model_ref, again.model_ref, strict=True))
    drawn = torch.cat([value.flatten() for value in noise.model_ref])
    assert 0.005 < drawn.std() < 0.02
    config = TrainConfig(reference_weights="initial")
    initial = make_optimizer(config, network.parameters(), loss, torch.Generator())
    expected = [*network.parameters(), loss.a, loss.b]
    assert all(torch.equal(x, y) for x, y in zip(initial.model_ref, expected, strict=True))


def test_making_it_and_stepping_leaves_global_generators_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
    optimizer = make_optimizer(TrainConfig(), network.parameters(), loss, torch.Generator())
    one_step(network, loss, optimizer)
    assert torch.equal(torch.get_rng_state(), before)


def one_step(network: nn.Module, loss: nn.Module, optimizer: BlockPESG, seed: int = 1) -> None:
    [(images, labels)] = data(1, seed)
    optimizer.zero_grad()
    loss(network(images), labels).backward()
    optimizer.step()


def test_the_regularizer_can_be_updated_twice_in_a_row_and_without_epoch_decay() -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
    optimizer = ours(network, loss, lr=0.1, epoch_decay=0.1)
    one_step(network, loss, optimizer)
    optimizer.update_regularizer()
    once = deepcopy(optimizer.model_ref)
    optimizer.update_regularizer()
    assert all(torch.equal(x, y) for x, y in zip(once, optimizer.model_ref, strict=True))
    assert torch.equal(once[0], network[0].weight)
    without = ours(network, loss, lr=0.1)
    without.update_regularizer()
    assert without.model_ref is None


def test_alpha_stays_between_zero_and_999() -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
    optimizer = ours(network, loss, lr=0.5)
    with torch.no_grad():
        loss.a.fill_(5.0)
    one_step(network, loss, optimizer)
    assert loss.alpha.item() == 0.0
    with torch.no_grad():
        loss.b.fill_(5000.0)
    one_step(network, loss, optimizer)
    assert loss.alpha.item() == 999.0


@pytest.mark.parametrize("mode", MODES)
def test_a_saved_optimizer_goes_on_bit_equal_and_its_state_dict_stays_whole(mode: str) -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1").double()
    options = {"lr": 0.05, "mode": mode, "epoch_decay": 0.01, "momentum": 0.2, "weight_decay": 0.1}
    optimizer = ours(network, loss, **options)
    for seed in range(5):
        one_step(network, loss, optimizer, seed)
    network_2, loss_2 = deepcopy(network), deepcopy(loss)
    optimizer_2 = ours(network_2, loss_2, **options)
    saved = optimizer.state_dict()
    keys = set(saved)
    optimizer_2.load_state_dict(saved)
    assert set(saved) == keys
    for seed in range(5, 10):
        one_step(network, loss, optimizer, seed)
        one_step(network_2, loss_2, optimizer_2, seed)
        optimizer.update_regularizer(), optimizer_2.update_regularizer()
    for x, y in zip([*network.parameters(), loss.alpha], [*network_2.parameters(), loss_2.alpha], strict=True):
        assert torch.equal(x, y)


def test_several_labels_have_one_a_b_and_alpha_each() -> None:
    loss = AUCMLoss(3, 1.0, "v1")
    network = nn.Linear(4, 3)
    optimizer = ours(network, loss, lr=0.1, epoch_decay=0.01)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    loss(network(torch.randn(3, 4)), labels).backward()
    optimizer.step()
    assert (loss.alpha > 0).all()
    assert loss.a.unique().numel() == 3


@pytest.mark.parametrize("mode", MODES)
def test_running_class_means_are_left_to_the_loss(mode: str) -> None:
    network, loss = small_network(), AUCMLoss(1, 1.0, "v1", "running").double()
    optimizer = make_optimizer(TrainConfig(optimizer=mode), network.parameters(), loss, torch.Generator())
    ((rows, targets),) = data(1)
    loss(network(rows), targets).backward()
    means = [value.clone() for value in (loss.a, loss.b, loss.alpha)]
    weights = [value.clone() for value in network.parameters()]
    optimizer.step()
    assert all(torch.equal(now, before) for now, before in zip((loss.a, loss.b, loss.alpha), means, strict=True))
    assert not any(torch.equal(now, before) for now, before in zip(network.parameters(), weights, strict=True))


def test_it_is_made_cleared_and_stored_without_what_loads_pytorchs_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("TorchDynamo would be loaded, which takes a second of each process")

    for name in ("add_param_group", "zero_grad", "state_dict"):
        method = inspect.unwrap(getattr(torch.optim.Optimizer, name))
        monkeypatch.setattr(method, "__dynamo_disable", load, raising=False)
    with pytest.raises(AssertionError):
        torch.optim.SGD([torch.zeros(1)])
    weights = torch.nn.Parameter(torch.zeros(3))
    optimizer = make_optimizer(TrainConfig(), [weights], make_loss(TrainConfig(), 1), torch.Generator())
    optimizer.zero_grad()
    assert len(optimizer.state_dict()["param_groups"][0]["params"]) == 3, "the weights, a and b"
