"""Convolutions of small feature maps as matrix products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hpo.training.model import im2col
from hpo.training.model.im2col import Convolution2d, Convolution3d, _Products, as_products, pays
from hpo.training.model.resnet import resnet18

LAYERS = {2: Convolution2d, 3: Convolution3d}
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
CASES = [
    (2, 3, 1, (4, 4)),
    (2, 3, 2, (7, 7)),
    (2, 3, 2, (8, 6)),
    (2, 1, 2, (7, 7)),
    (2, 3, 1, (1, 1)),
    (3, 3, 1, (2, 2, 2)),
    (3, 3, 2, (4, 3, 2)),
    (3, 1, 2, (4, 4, 4)),
]


def layer_of(dimensions: int, kernel: int, stride: int) -> nn.Module:
    torch.manual_seed(0)
    return LAYERS[dimensions](3, 5, kernel, stride=stride, padding=kernel // 2, bias=False)


def features_of(edges: tuple[int, ...]) -> Tensor:
    return torch.randn(2, 3, *edges, generator=torch.Generator().manual_seed(1))


def wide(features: Tensor) -> Tensor:
    return features.double().requires_grad_()


@pytest.mark.parametrize(("dimensions", "kernel", "stride", "edges"), CASES)
def test_products_are_the_convolution_with_its_gradients(
    dimensions: int, kernel: int, stride: int, edges: tuple[int, ...]
) -> None:
    layer = layer_of(dimensions, kernel, stride).double()
    features, same = wide(features_of(edges)), wide(features_of(edges))
    weight = layer.weight.detach().clone().requires_grad_()
    expected = layer(features)
    out = _Products.apply(same, weight, stride, kernel // 2)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2)).double()
    expected.backward(upstream)
    out.backward(upstream)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(same.grad, features.grad)
    torch.testing.assert_close(weight.grad, layer.weight.grad)


@pytest.mark.parametrize(("dimensions", "kernel", "stride", "edges"), CASES)
def test_bf16_products_are_close_to_float32(dimensions: int, kernel: int, stride: int, edges: tuple[int, ...]) -> None:
    layer = layer_of(dimensions, kernel, stride)
    features, same = features_of(edges).requires_grad_(), features_of(edges).requires_grad_()
    expected = layer(features)
    expected.sum().backward()
    assert layer.weight.grad is not None
    wanted = layer.weight.grad.clone()
    layer.weight.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = as_products(same, layer)
    out.sum().backward()
    assert out.dtype == torch.bfloat16
    for is_, should in ((out, expected), (same.grad, features.grad), (layer.weight.grad, wanted)):
        assert is_ is not None
        assert should is not None
        assert (is_.float() - should).norm() <= 0.01 * should.norm()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_layouts_stay_as_they_were(dimensions: int, channels_last: bool) -> None:
    layout = LAYOUTS[dimensions] if channels_last else torch.contiguous_format
    layer = layer_of(dimensions, 3, 1)
    layer.weight.data = layer.weight.data.contiguous(memory_format=layout)
    features = features_of((4,) * dimensions).contiguous(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = as_products(features, layer)
    out.sum().backward()
    for tensor in (out, features.grad, layer.weight.grad):
        assert tensor is not None
        assert tensor.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(("tiles", "largest"), [(True, 4), (False, 2)])
def test_the_edge_up_to_which_products_pay(monkeypatch: pytest.MonkeyPatch, tiles: bool, largest: int) -> None:
    monkeypatch.setattr(im2col, "has_tiles", lambda: tiles)
    layer = layer_of(2, 3, 2)
    at, beyond = torch.rand(1, 3, 2 * largest, 2 * largest), torch.rand(1, 3, 2 * largest + 1, 2 * largest + 1)
    assert not pays(at, layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pays(at, layer)
        assert not pays(beyond, layer)


def test_a_frozen_weight_gets_no_gradient() -> None:
    layer = layer_of(2, 3, 1)
    layer.weight.requires_grad_(False)
    features = features_of((4, 4)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        as_products(features, layer).sum().backward()
    assert layer.weight.grad is None
    assert features.grad is not None


def test_the_network_s_convolutions_are_these() -> None:
    for dimensions, layer in LAYERS.items():
        found = [m for m in resnet18(dimensions, 1, 0).modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
        assert len(found) == 20
        assert all(type(one) is layer for one in found)
