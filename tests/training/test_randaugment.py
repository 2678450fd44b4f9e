"""RandAugment: how many operations an image gets, and that each of them is one of the policies'."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hpo.study.catalogue import find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs.pixels import blur
from hpo.training.inputs.policies import find_augmentation, make_augmentation
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.inputs.randaugment import _MOVES, OPERATIONS, RandAugment, _compose
from hpo.training.seeds import generator

SHAPES = [(50, 1, 12, 12), (50, 1, 8, 8, 8)]


def images(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=generator(0, "images"))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_image_gets_that_many_different_operations_each_equally_often(count: int) -> None:
    chosen = RandAugment(count=count).choose(torch.zeros(4000, 1, 2, 2), generator(0))
    taken = torch.stack([chosen[name].view(-1) for name in OPERATIONS])
    assert (taken.sum(0) == count).all()
    shares = taken.float().mean(1)
    assert (shares - count / len(OPERATIONS)).abs().max() < 0.04


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_changes_images_that_have_it_and_no_other(name: str, shape: tuple[int, ...]) -> None:
    batch = images(shape)
    augmentation = RandAugment((name, "nothing"), count=1)
    changed, _ = augmentation(batch, torch.zeros(50, 1), 1.0, generator(4))
    has_it = augmentation.choose(batch, generator(4))[name].view(-1)
    differs = (changed != batch).flatten(1).any(1)
    assert not differs[~has_it].any()
    assert differs[has_it].float().mean() > 0.3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_maps_are_composed_as_matrices_are_multiplied(dimensions: int) -> None:
    one, other = (torch.rand(5, dimensions, dimensions + 1, generator=generator(n)) for n in range(2))
    last = torch.eye(dimensions + 1)[-1:].expand(5, 1, -1)
    product = torch.cat([one, last], 1) @ torch.cat([other, last], 1)
    torch.testing.assert_close(_compose(one, other), product[:, :dimensions])


def test_the_rigid_form_lacks_what_changes_sizes() -> None:
    rigid, every = (find_augmentation(name) for name in ("randaugment_rigid", "randaugment"))
    assert isinstance(rigid, RandAugment)
    assert isinstance(every, RandAugment)
    assert set(every.operations) - set(rigid.operations) == {"scale", "shear"}
    assert set(_MOVES) & set(rigid.operations) == {"flip", "rotation", "shift"}


def test_the_number_of_operations_is_a_setting_of_randaugment_alone() -> None:
    config = TrainConfig(augmentation="randaugment", augmentation_operations=4)
    assert make_augmentation(config) == RandAugment(count=4)
    assert make_inputs(config, find_dataset("breast")).augmentation == RandAugment(count=4)
    users = [name for name in AUGMENTATIONS.names() if "augmentation_operations" in AUGMENTATIONS.entry(name).uses]
    assert users == ["randaugment", "randaugment_rigid"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_blur_keeps_the_sum_and_spreads_a_point_alike_along_each_axis(dimensions: int) -> None:
    edge, count = 11, 200
    points = torch.zeros(count, 1, *(edge,) * dimensions)
    points.flatten(1)[:, edge**dimensions // 2] = 1.0
    blurred = blur(points, 1.0, generator(0))
    torch.testing.assert_close(blurred.flatten(1).sum(1), torch.ones(count))
    squares = (torch.arange(edge) - edge // 2.0) ** 2
    variances = []
    for axis in range(2, 2 + dimensions):
        others = [other for other in range(1, 2 + dimensions) if other != axis]
        variances.append((blurred.sum(others) * squares).sum(1))
    for variance in variances:
        torch.testing.assert_close(variance, variances[0])
    assert variances[0].max() <= 4 / 3 + 1e-5
    assert abs(float(variances[0].mean()) - 2 / 3) < 0.1
