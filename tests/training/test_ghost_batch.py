"""BatchNorm over parts of a batch."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch import nn

from hpo.training.loop.passes import fixed_statistics
from hpo.training.model.ghost_batch import GhostBatchNorm, use_ghost_batches
from hpo.training.model.resnet import resnet18
from hpo.training.optim.weight_averaging import refresh_statistics


def features(rows: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * torch.arange(1, 4)[:, None, None]


@pytest.mark.slow
def test_each_part_is_normalised_as_a_batch_of_its_own() -> None:
    ghost = GhostBatchNorm(nn.BatchNorm2d(3), 4)
    x = features(8)
    expected = torch.cat([nn.BatchNorm2d(3)(part) for part in (x[:4], x[4:])])
    torch.testing.assert_close(ghost(x), expected)


@pytest.mark.parametrize(("rows", "size", "parts"), [(10, 4, 2), (9, 3, 3), (8, 1, 4)])
def test_parts_have_the_size_at_least_and_two_samples_at_least(rows: int, size: int, parts: int) -> None:
    ghost, x = GhostBatchNorm(nn.BatchNorm2d(3), size), features(rows)
    expected = torch.cat([nn.BatchNorm2d(3)(part) for part in x.tensor_split(parts)])
    torch.testing.assert_close(ghost(x), expected)


def test_a_batch_too_small_for_two_parts_is_normalised_whole() -> None:
    x = features(7)
    torch.testing.assert_close(GhostBatchNorm(nn.BatchNorm2d(3), 4)(x), nn.BatchNorm2d(3)(x))


def test_running_statistics_move_as_far_as_without_parts() -> None:
    """Of equal parts they are what those of the whole batch are."""
    ghost, plain = GhostBatchNorm(nn.BatchNorm2d(3), 4), nn.BatchNorm2d(3)
    part = features(4)
    ghost(torch.cat([part, part]))
    plain(part)
    torch.testing.assert_close(ghost.running_mean, plain.running_mean)
    torch.testing.assert_close(ghost.running_var, plain.running_var)
    assert ghost.num_batches_tracked.item() == 1


def test_in_scoring_it_is_the_norm_itself() -> None:
    plain = nn.BatchNorm2d(3)
    plain(features(8, seed=1))
    assert torch.equal(GhostBatchNorm(deepcopy(plain), 4).eval()(features()), plain.eval()(features()))


def test_every_norm_of_a_network_is_replaced_and_names_and_weights_stay() -> None:
    network, plain = resnet18(2, 1, 0), resnet18(2, 1, 0)
    use_ghost_batches(network, 4)
    assert sum(isinstance(module, GhostBatchNorm) for module in network.modules()) == 20
    assert not any(type(module) is nn.BatchNorm2d for module in network.modules())
    assert [name for name, _ in network.named_parameters()] == [name for name, _ in plain.named_parameters()]
    plain.load_state_dict(network.state_dict())
    x = torch.randn(8, 1, 8, 8)
    assert not torch.allclose(network(x), plain(x))
    plain.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(x), plain.eval()(x))


def test_without_a_size_the_network_stays_as_it_is() -> None:
    network = resnet18(2, 1, 0)
    modules = list(network.modules())
    use_ghost_batches(network, 0)
    assert all(one is other for one, other in zip(modules, network.modules(), strict=True))


def test_refreshed_statistics_are_those_of_whole_batches() -> None:
    ghost, plain = nn.Sequential(GhostBatchNorm(nn.BatchNorm2d(3), 4)), nn.Sequential(nn.BatchNorm2d(3))
    for network in (ghost, plain):
        list(refresh_statistics(network, [features(8, seed) for seed in range(3)], nullcontext))
    for one, other in zip(ghost.buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other)
    assert ghost[0].momentum == 0.1


def test_statistics_that_are_kept_fixed_stay() -> None:
    network = nn.Sequential(GhostBatchNorm(nn.BatchNorm2d(3), 4))
    twin, before = deepcopy(network), deepcopy(list(network.buffers()))
    with fixed_statistics(network):
        inside = network(features())
    assert torch.equal(inside, twin(features()))
    assert all(torch.equal(one, other) for one, other in zip(before, network.buffers(), strict=True))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_it_keeps_the_layout_of_its_features(dimensions: int) -> None:
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    x = torch.randn(8, 3, *(4,) * dimensions).contiguous(memory_format=layout)
    norm = nn.BatchNorm2d(3) if dimensions == 2 else nn.BatchNorm3d(3)
    assert GhostBatchNorm(norm, 4)(x).is_contiguous(memory_format=layout)
