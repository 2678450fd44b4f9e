"""Averages of weights."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from hpo.study.config import TrainConfig
from hpo.training.optim.weight_averaging import WeightAverage, refresh_statistics


class Small(nn.Module):
    """One weight and one norm, so that averages can be read off."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), value))
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(images * self.scale)

    def become(self, value: float) -> Small:
        with torch.no_grad():
            self.scale.fill_(value)
            self.norm.running_mean.fill_(10 * value)
        return self


def step(average: WeightAverage, network: Small) -> None:
    average.count_step()
    average.move(network)


def test_without_an_average_the_network_itself_is_scored() -> None:
    network = Small()
    average = WeightAverage(TrainConfig(), network, epochs=2)
    step(average, network)
    assert average.after_epoch(network, 0) is False
    assert average.choose(network) is network


@pytest.mark.parametrize("capturable", [False, True])
def test_ema_follows_the_weights_and_the_statistics_and_forgets_the_start_quickly(capturable: bool) -> None:
    """d = min(decay, (1 + t) / (10 + t)) = 2/11, 3/12, ...: 1 (1 - 2/11) = 9/11, then 3/12 * 9/11 + 9/12 * 3."""
    network = Small(0.0)
    average = WeightAverage(TrainConfig(weight_average="ema", ema_decay=0.9), network, 2, capturable)
    assert average.choose(network) is network
    step(average, network.become(1.0))
    step(average, network.become(3.0))
    scored = average.choose(network)
    expected = 3 / 12 * 9 / 11 + 9 / 12 * 3
    torch.testing.assert_close(scored.scale.detach(), torch.tensor([expected]))
    torch.testing.assert_close(scored.norm.running_mean, torch.tensor([10 * expected]))


def test_ema_keeps_its_decay_in_the_long_run() -> None:
    network = Small(0.0)
    average = WeightAverage(TrainConfig(weight_average="ema", ema_decay=0.5), network, epochs=2)
    for _ in range(60):
        step(average, network)
    step(average, network.become(1.0))
    torch.testing.assert_close(average.choose(network).scale.detach(), torch.tensor([0.5]))


def test_swa_is_the_plain_mean_over_the_epochs_after_its_start() -> None:
    network = Small()
    average = WeightAverage(TrainConfig(weight_average="swa", swa_start=0.5), network, epochs=4)
    assert average.after_epoch(network.become(100.0), 1) is False
    assert average.choose(network) is network
    assert average.after_epoch(network.become(1.0), 2) is True
    assert average.after_epoch(network.become(3.0), 3) is True
    torch.testing.assert_close(average.choose(network).scale.detach(), torch.tensor([2.0]))


def test_cycles_are_averaged_at_the_end_of_each_that_ends_after_the_start() -> None:
    """Cycles of two epochs, which end with 1, 3, 5, 7; those after half the epochs are 5 and 7."""
    network = Small()
    config = TrainConfig(weight_average="cycles", schedule="cyclic", cycles=4, swa_start=0.5)
    average = WeightAverage(config, network, epochs=8)
    refreshed = []
    for epoch in range(8):
        refreshed.append(average.after_epoch(network.become(float(epoch)), epoch))
        scored = average.choose(network)
        assert scored.scale.item() == {5: 5.0, 6: 5.0, 7: 6.0}.get(epoch, float(epoch))
    assert refreshed == [False, False, False, False, False, True, False, True]


def test_cycles_of_a_schedule_without_any_are_the_last_weights() -> None:
    network = Small()
    average = WeightAverage(TrainConfig(weight_average="cycles", swa_start=0.0), network, epochs=3)
    assert [average.after_epoch(network.become(float(epoch)), epoch) for epoch in range(3)] == [False, False, True]
    assert average.choose(network).scale.item() == 2.0


def test_swa_that_starts_late_still_has_the_last_epoch() -> None:
    network = Small()
    average = WeightAverage(TrainConfig(weight_average="swa", swa_start=0.95), network, epochs=3)
    assert [average.after_epoch(network, epoch) for epoch in range(3)] == [False, False, True]


def test_refreshed_statistics_are_the_mean_over_the_batches() -> None:
    network = Small(2.0)
    batches = [torch.full((4, 1, 2, 2), value) for value in (1.0, 2.0, 6.0)]
    assert len(list(refresh_statistics(network, batches, nullcontext))) == 3
    torch.testing.assert_close(network.norm.running_mean, torch.tensor([6.0]))
    assert network.norm.momentum == 0.1


def test_a_saved_average_goes_on() -> None:
    network = Small()
    config = TrainConfig(weight_average="ema")
    average, other = WeightAverage(config, network, 2), WeightAverage(config, network, 2)
    step(average, network.become(1.0))
    other.load_state_dict(average.state_dict())
    for each in (average, other):
        step(each, network.become(2.0))
    assert torch.equal(average.choose(network).scale, other.choose(network).scale)
