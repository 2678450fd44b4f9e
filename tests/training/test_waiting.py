"""A step queues its work and never waits for the device: what it would wait for shows on a CPU, too."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hpo.data.development import Development
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop import fold
from hpo.training.loop.fold import Run
from hpo.training.machine.device import choose_machine
from hpo.training.optim.pesg import make_optimizer
from hpo.training.optim.weight_averaging import WeightAverage, refresh_statistics
from tests.training.test_every_loss import NAMES

CPU = torch.device("cpu")
EPOCHS = 4
WAITING = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "_unique2",
}
"""Operations whose result, or its size, the host must know: a CUDA graph cannot hold them."""


class Waits(TorchDispatchMode):
    """Note the operations that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for indices in args
            if isinstance(indices, list | tuple)
            for index in indices
        )
        if name in WAITING or masks:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that change per step are tensors, as for steps that are recorded."""
    monkeypatch.setattr(fold, "make_optimizer", lambda *given, **_: make_optimizer(*given, capturable=True))
    monkeypatch.setattr(fold, "WeightAverage", lambda *given, **_: WeightAverage(*given, capturable=True))


def waits_of(development: Development, **settings: Any) -> list[str]:
    """What the second step waits for; the first creates the optimizer's state."""
    config = TrainConfig(**({"batch_size": 16, "input_size": 8} | settings))
    resident = make_device_dataset(development, config.input_size, CPU)
    run = Run(config, development, resident, np.arange(40), EPOCHS, 0, choose_machine(CPU, 2, config.precision))
    batches = list(run.batches(0))
    run._under_way = None
    for batch in list(run.batches(0))[:1]:
        run.step(batch)
    run.optimizer.count()
    run.average.count_step()
    with Waits() as waits:
        run._compute(batches[1])
    return waits.seen


step = partial(pytest.mark.usefixtures, "as_on_cuda", "thin")


@step()
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lion"])
@pytest.mark.parametrize("loss", NAMES)
def test_no_loss_and_optimizer(development: Development, loss: str, optimizer: str) -> None:
    more = {"weight_average": "ema", "weight_decay": 0.01, "clip": 1.0}
    assert waits_of(development, loss=loss, optimizer=optimizer, **more) == []


@step()
@pytest.mark.parametrize("augmentation", AUGMENTATIONS.names())
def test_no_augmentation(development: Development, augmentation: str) -> None:
    assert waits_of(development, augmentation=augmentation) == []


@step()
@pytest.mark.parametrize(
    "settings",
    [
        {"class_means": "running"},
        {"class_means": "running", "score_scale": "standardised"},
        {"score_scale": "tanh"},
        {"loss": "pauc", "pauc_form": "dro"},
        {"loss": "joint", "label_smoothing": 0.1},
        {"sam": 0.05},
        {"ghost_batch": 8},
        {"progressive": 0.5},
        {"reference_weights": "initial", "epoch_decay": 0.01},
    ],
    ids=str,
)
def test_nothing_else(development: Development, settings: dict[str, Any]) -> None:
    assert waits_of(development, **settings) == []


def test_nor_do_the_statistics_of_averaged_weights() -> None:
    """BatchNorm reads its count in each layer, for each batch: 15 times the epoch on a shared GPU."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    norms = [module for module in network if isinstance(module, nn.BatchNorm2d)]
    counts = [norm.num_batches_tracked for norm in norms]
    for _ in refresh_statistics(network, torch.randn(3, 8, 1, 8, 8), nullcontext):
        assert all(norm.num_batches_tracked is not count for norm, count in zip(norms, counts, strict=True))
        assert all(norm.num_batches_tracked.device == CPU for norm in norms)
    assert all(norm.num_batches_tracked is count for norm, count in zip(norms, counts, strict=True))
    assert [int(count) for count in counts] == [3, 3]


def test_a_wait_is_seen() -> None:
    numbers = torch.arange(3.0)
    with Waits() as waits:
        torch._foreach_add_([numbers], numbers[1])
        numbers[numbers > 1]
        float(numbers[0])
    assert waits.seen == ["_local_scalar_dense", "index", "_local_scalar_dense"]
