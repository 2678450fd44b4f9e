"""Changes of shapes: dilation and erosion as scipy's, and a bending that keeps areas and volumes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.nn import functional as F

from hpo.data.development import load_development
from hpo.data.files import file_state
from hpo.data.folder import data_folder
from hpo.study.catalogue import find_dataset
from hpo.training.inputs.geometry import bend
from hpo.training.inputs.morphology import change_thickness, dilate, erode, smooth
from hpo.training.inputs.policies import find_augmentation
from hpo.training.seeds import generator

SHAPES = [(7, 1, 9, 9), (7, 1, 6, 6, 6)]


def images(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=generator(0, "images"))


def of_scipy(kind: Literal["dilation", "erosion", "opening", "closing"], batch: Tensor) -> Tensor:
    window = ndimage.generate_binary_structure(batch.dim() - 2, 1)[None, None]
    return torch.from_numpy(getattr(ndimage, f"grey_{kind}")(batch.numpy(), footprint=window, mode="nearest"))


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_dilation_and_erosion_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    batch = images(shape)
    assert torch.equal(dilate(batch), of_scipy("dilation", batch))
    assert torch.equal(erode(batch), of_scipy("erosion", batch))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_thickness_lies_between_erosion_and_dilation_by_a_share_of_each_image(shape: tuple[int, ...]) -> None:
    batch = images(shape)
    share = torch.rand((7,) + (1,) * (batch.dim() - 1), generator=generator(5)) * 1.6 - 0.8
    towards = torch.where(share > 0, of_scipy("dilation", batch), of_scipy("erosion", batch))
    torch.testing.assert_close(change_thickness(batch, 0.8, generator(5)), torch.lerp(batch, towards, share.abs()))


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_smoothing_moves_towards_the_mean_of_opening_and_closing(shape: tuple[int, ...]) -> None:
    batch = images(shape)
    share = torch.rand((7,) + (1,) * (batch.dim() - 1), generator=generator(5)) * 0.5
    mean = (of_scipy("opening", batch) + of_scipy("closing", batch)) / 2
    torch.testing.assert_close(smooth(batch, 0.5, generator(5)), torch.lerp(batch, mean, share))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_bend_has_a_jacobian_determinant_of_one_everywhere(dimensions: int) -> None:
    places = torch.rand(1, 20, dimensions, generator=generator(1)) * 2 - 1
    assert 0.02 < (bend(places, 0.1, generator(2)) - places).abs().max() < 0.4
    jacobians = torch.stack([jacobian(bend_one, place) for place in places[0]])
    torch.testing.assert_close(torch.linalg.det(jacobians), torch.ones(20), rtol=1e-4, atol=1e-4)
    assert (jacobians - torch.eye(dimensions)).abs().max() > 0.1


def bend_one(place: Tensor) -> Tensor:
    """Bend one place as every other."""
    return bend(place.view(1, 1, -1), 0.1, generator(2)).flatten()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_bent_ball_keeps_its_size(dimensions: int) -> None:
    edge = 28
    place = (torch.arange(edge) + 0.5) / edge * 2 - 1
    radius = sum(axis**2 for axis in torch.meshgrid(*(place,) * dimensions, indexing="ij")) ** 0.5  # type: ignore[operator]
    ball = (radius < 0.5).float().expand(100, 1, *(edge,) * dimensions)
    bent, _ = find_augmentation("elastic")(ball, torch.zeros(100, 1), 1.0, generator(3))
    kept = bent.flatten(1).sum(1) / ball.flatten(1).sum(1)
    assert (kept - 1).abs().mean() < 0.01
    assert (bent - ball).abs().flatten(1).max(1).values.min() > 0.2


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_voxels_of_adrenal_glands_are_kept(strength: float) -> None:
    dataset, folder = find_dataset("adrenal3d"), data_folder(None)
    if file_state(dataset, folder).state == "missing":
        pytest.skip("needs AdrenalMNIST3D in HPO_DATA_DIR")
    development = load_development(dataset, folder, "none")
    glands = torch.from_numpy(np.array(development.images[:100])).unsqueeze(1) / 255
    bent, _ = find_augmentation("elastic")(glands, torch.zeros(100, 1), strength, generator(0))
    kept = bent.flatten(1).sum(1) / glands.flatten(1).sum(1)
    assert (kept - 1).abs().mean() < 0.005
    assert F.l1_loss(bent, glands) > 0
