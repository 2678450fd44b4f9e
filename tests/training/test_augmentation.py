"""Augmentation of batches, in 2D and 3D."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hpo.study.catalogue import find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs import policies
from hpo.training.inputs.augmentation import Policy, augment, draw_maps
from hpo.training.inputs.policies import find_augmentation
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.seeds import generator

NAMES = AUGMENTATIONS.names()
SHAPES = [(6, 1, 12, 12), (6, 1, 8, 8, 8)]
TARGETS = torch.tensor([[1.0], [0.0], [1.0], [0.0], [1.0], [0.0]])


def images(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=generator(0, "images"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_every_policy_keeps_the_form_and_zero_strength_changes_nothing(name: str, shape: tuple[int, ...]) -> None:
    batch = images(shape)
    same, targets = find_augmentation(name)(batch, TARGETS, 0.0, generator(1))
    assert torch.equal(same, batch)
    assert torch.equal(targets, TARGETS)
    changed, targets = find_augmentation(name)(batch, TARGETS, 1.0, generator(1))
    assert changed.shape == shape
    assert targets.shape == TARGETS.shape
    assert torch.isfinite(changed).all()
    assert torch.equal(changed, batch) == (name == "none")
    assert torch.equal(targets, TARGETS) == (name not in ("mixup", "cutmix"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_equal_generators_give_bit_equal_batches(name: str, shape: tuple[int, ...]) -> None:
    batch = images(shape)
    torch.manual_seed(1)
    first, _ = find_augmentation(name)(batch, TARGETS, 0.7, generator(3))
    torch.manual_seed(2)
    second, _ = find_augmentation(name)(batch, TARGETS, 0.7, generator(3))
    assert torch.equal(first, second)


def test_a_flip_mirrors_left_and_right_only_in_2d() -> None:
    batch = images((200, 1, 6, 6))
    flipped, _ = augment(batch, torch.zeros(200, 1), Policy(flip=0.5), generator(0))
    close = [(flipped - x).abs().amax(dim=(1, 2, 3)) < 1e-5 for x in (batch, batch.flip(3))]
    assert (close[0] | close[1]).all()
    assert 70 < int(close[1].sum()) < 130


def test_a_flip_mirrors_each_axis_in_3d() -> None:
    maps = draw_maps(400, 3, Policy(flip=0.5), generator(0))
    signs = torch.diagonal(maps[:, :, :3], dim1=1, dim2=2)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert ((signs < 0).float().mean(0) - 0.5).abs().max() < 0.1


def test_a_shift_moves_whole_pixels_where_it_is_one() -> None:
    batch = images((1, 1, 10, 10))
    maps = draw_maps(500, 2, Policy(shift=0.2), generator(0))
    assert maps[:, :, 2].abs().max() <= 0.4
    assert torch.equal(maps[:, :, :2], torch.eye(2).expand(500, 2, 2))
    by_one = torch.tensor([[[1.0, 0.0, 0.2], [0.0, 1.0, 0.0]]])
    grid = torch.nn.functional.affine_grid(by_one, [1, 1, 10, 10], align_corners=False)
    moved = torch.nn.functional.grid_sample(batch, grid, align_corners=False)
    torch.testing.assert_close(moved[..., :-1], batch[..., 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_crop_stays_inside_the_image(dimensions: int) -> None:
    maps = draw_maps(1000, dimensions, Policy(crop=0.4), generator(0))
    reach = torch.diagonal(maps[:, :, :dimensions], dim1=1, dim2=2) + maps[:, :, dimensions].abs()
    assert reach.max() <= 1 + 1e-6
    assert torch.diagonal(maps[:, :, :dimensions], dim1=1, dim2=2).min() >= 0.6 * 0.9 - 1e-6


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_rotation_keeps_lengths(dimensions: int) -> None:
    linear = draw_maps(100, dimensions, Policy(rotation=30.0), generator(0))[:, :, :dimensions]
    torch.testing.assert_close(linear @ linear.mT, torch.eye(dimensions).expand_as(linear), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("name", "keeps"), [("flip", True), ("shift", True), ("rigid", True), ("affine", False)])
def test_policies_that_keep_sizes_keep_them(name: str, keeps: bool, dimensions: int) -> None:
    linear = draw_maps(100, dimensions, getattr(policies, name), generator(0))[:, :, :dimensions]
    volumes = torch.linalg.det(linear).abs()
    assert torch.allclose(volumes, torch.ones(100), rtol=1e-5, atol=1e-5) == keeps


def test_cutout_sets_a_square_of_each_image_to_its_mean() -> None:
    batch = images((50, 1, 16, 16))
    cut, _ = augment(batch, torch.zeros(50, 1), Policy(cutout=0.5), generator(0))
    changed = cut != batch
    assert 0 < int(changed.any(dim=(1, 2, 3)).sum()) <= 50
    assert changed.float().mean(dim=(1, 2, 3)).max() <= (9 / 16) ** 2
    means = batch.mean(dim=(1, 2, 3), keepdim=True).expand_as(batch)
    assert torch.equal(cut[changed], means[changed])


def test_mixup_mixes_images_and_labels_by_the_same_share() -> None:
    batch = TARGETS.view(6, 1, 1, 1).expand(6, 1, 4, 4)
    mixed, targets = augment(batch, TARGETS, Policy(mixup=0.5), generator(0))
    torch.testing.assert_close(mixed[:, 0, 0, 0], targets[:, 0])
    assert ((targets - TARGETS).abs() <= 0.5).all()
    assert not torch.equal(targets, TARGETS)


def test_noise_has_a_spread_of_its_own_for_each_image() -> None:
    noisy, _ = augment(torch.zeros(40, 1, 20, 20), torch.zeros(40, 1), Policy(noise=0.2), generator(0))
    spreads = noisy.std(dim=(1, 2, 3))
    assert spreads.max() < 0.23
    assert spreads.min() < 0.03


def test_intensity_stays_between_black_and_white() -> None:
    changed, _ = augment(images((20, 1, 8, 8)), torch.zeros(20, 1), policies.intensity, generator(0))
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_2d_images_reach_the_network_between_minus_one_and_one() -> None:
    """MedMNIST 2D: ToTensor, then Normalize(mean=[.5], std=[.5])."""
    inputs = make_inputs(TrainConfig(), find_dataset("breast"))
    stored = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    expected = torch.tensor([-1.0, -0.6, 1.0])
    torch.testing.assert_close(inputs.for_scoring(stored).flatten(), expected)
    trained, _ = inputs.for_training(stored, torch.zeros(3, 1), generator(0))
    torch.testing.assert_close(trained.flatten(), expected)


def test_3d_masks_are_multiplied_at_random_in_training_and_by_a_half_at_scoring() -> None:
    """MedMNIST 3D: x / 255 without normalisation; its shape transform multiplies by U[0, 1] and by 0.5."""
    stored = torch.full((1000, 1, 2, 2, 2), 255, dtype=torch.uint8)
    inputs = make_inputs(TrainConfig(), find_dataset("adrenal3d"))
    assert (inputs.for_scoring(stored) == 0.5).all()
    trained, _ = inputs.for_training(stored, torch.zeros(1000, 1), generator(0))
    each = trained[:, 0, 0, 0, 0]
    assert (trained == each.view(-1, 1, 1, 1, 1)).all()
    assert abs(each.mean() - 0.5) < 0.05
    for dataset, config in [("adrenal3d", TrainConfig(shape_multiplier=False)), ("nodule3d", TrainConfig())]:
        assert (make_inputs(config, find_dataset(dataset)).for_scoring(stored) == 1.0).all()
