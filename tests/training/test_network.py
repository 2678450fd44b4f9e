"""MedMNIST's ResNet-18 in 2D and 3D."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hpo.study.catalogue import find_dataset
from hpo.study.choices import NETWORKS
from hpo.study.config import TrainConfig
from hpo.training.model.network import make_network
from hpo.training.model.resnet import BasicBlock, resnet18
from tests.plugins import kept_registries


def numbers(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def derived_count(kernel: int, labels: int, first: int = 64) -> int:
    """Stem, blocks of two convolutions, three projections, a scale and an offset per norm channel, head."""
    total = 3 * first * kernel + 2 * first
    width_in = first
    for width in (first, 2 * first, 4 * first, 8 * first):
        total += width_in * width * kernel + 3 * width * width * kernel + 4 * 2 * width
        if width != width_in:
            total += width_in * width + 2 * width
        width_in = width
    return total + 8 * first * labels + labels


@pytest.mark.parametrize(("dimensions", "kernel", "published"), [(2, 9, 11_169_345), (3, 27, 33_143_745)])
def test_it_has_the_weights_of_medmnists_network_in_62_tensors(dimensions: int, kernel: int, published: int) -> None:
    network = resnet18(dimensions, 1, seed=0)
    assert numbers(network) == derived_count(kernel, 1) == published
    assert len(list(network.parameters())) == 62


@pytest.mark.parametrize(("name", "kernel"), [("chest", 9), ("adrenal3d", 27)])
def test_the_narrow_one_is_the_same_with_a_quarter_of_the_channels(name: str, kernel: int) -> None:
    dataset = find_dataset(name)
    narrow = make_network(TrainConfig(network="resnet18_narrow"), dataset, 0)
    assert numbers(narrow) == derived_count(kernel, dataset.labels, first=16)
    assert list(narrow.state_dict()) == list(make_network(TrainConfig(), dataset, 0).state_dict())
    assert narrow(torch.rand(2, 1, *[9] * dataset.dimensions)).shape == (2, dataset.labels)


def test_two_logits_give_kuangliu_s_count() -> None:
    """pytorch-cifar's ResNet18 with 10 classes has 11,173,962 weights."""
    assert numbers(resnet18(2, 10, seed=0)) == 11_173_962


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (4, 4), (9, 9, 9)])
def test_any_edge_gives_a_logit_per_label(shape: tuple[int, ...]) -> None:
    network = resnet18(len(shape), 14, seed=0)
    assert network(torch.rand(2, 1, *shape)).shape == (2, 14)


def test_strides_halve_the_edges_three_times() -> None:
    features = torch.rand(2, 64, 28, 28)
    edges = []
    for block in resnet18(2, 1, seed=0).blocks:
        features = block(features)
        edges.append(features.shape[-1])
    assert edges == [28, 28, 14, 14, 7, 7, 4, 4]


def test_a_block_adds_its_input() -> None:
    block = BasicBlock(2, 8, 8, stride=1).eval()
    nn.init.zeros_(block.conv2.weight)
    features = torch.rand(2, 8, 5, 5)
    torch.testing.assert_close(block(features), features)


@pytest.mark.slow
def test_a_configuration_has_a_resnet18_with_the_weights_of_its_seed_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for name in ("breast", "adrenal3d"):
        dataset = find_dataset(name)
        made, same = make_network(TrainConfig(), dataset, 3), resnet18(dataset.dimensions, 1, 3)
        assert all(torch.equal(x, y) for x, y in zip(made.parameters(), same.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_registered_network_is_made_for_the_images_that_it_will_get() -> None:
    asked: list[tuple[tuple[int, ...], int]] = []

    def thin(shape: tuple[int, ...], labels: int) -> nn.Module:
        asked.append((shape, labels))
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))

    with kept_registries():
        NETWORKS.register("thin", thin)
        first, second = (make_network(TrainConfig(network="thin"), find_dataset("chest"), 7) for _ in range(2))
        make_network(TrainConfig(network="thin", input_size=14), find_dataset("adrenal3d"), 7)
        make_network(TrainConfig(network="thin", input_size=14), find_dataset("digits"), 7)
    assert asked == [((1, 28, 28), 14)] * 2 + [((1, 14, 14, 14), 1), ((1, 8, 8), 1)]
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), second.parameters(), strict=True))


def test_the_seed_alone_decides_the_weights_and_global_state_stays() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = resnet18(2, 1, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = resnet18(2, 1, seed=7), resnet18(2, 1, seed=8)
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert resnet18(2, 1, seed=0)(torch.rand(2, 1, 8, 8)).dtype == torch.float32
