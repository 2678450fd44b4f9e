"""Images and labels on the device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hpo.data.development import Development
from hpo.training.inputs.device_dataset import make_device_dataset, place_images

CPU = torch.device("cpu")


def test_images_stay_uint8_and_get_a_channel(development: Development) -> None:
    resident = make_device_dataset(development, 28, CPU)
    assert resident.images.dtype == torch.uint8
    assert resident.images.shape == (52, 1, 8, 8)
    assert resident.labels.shape == (52, 1)
    assert np.array_equal(resident.images[:, 0].numpy(), development.images)


def test_a_smaller_input_is_the_mean_over_areas(development: Development) -> None:
    small = place_images(development.images, 4, CPU)
    expected = development.images.astype(float).reshape(52, 4, 2, 4, 2).mean(axis=(2, 4))
    assert small.shape == (52, 1, 4, 4)
    assert np.abs(small[:, 0].numpy() - expected).max() <= 0.5


def test_volumes_shrink_too(make_development: Callable[..., Development]) -> None:
    volumes = make_development(dimensions=3, rows=(6, 4)).images
    small = place_images(volumes, 4, CPU)
    assert small.shape == (10, 1, 4, 4, 4)
    expected = volumes.astype(float).reshape(10, 4, 2, 4, 2, 4, 2).mean(axis=(2, 4, 6))
    assert np.abs(small[:, 0].numpy() - expected).max() <= 0.5
