"""Images and labels on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.study.catalogue import input_edge
from hpo.study.config import TrainConfig
from hpo.training.inputs import device_dataset
from hpo.training.inputs.device_dataset import make_device_dataset, place_images, resize
from hpo.training.loop.model_file import Model
from hpo.training.loop.scoring import scoring_rows
from hpo.training.probe.memory import predicted_peak
from tests.refitting import refitted

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


@pytest.mark.parametrize(("dimensions", "mode"), [(2, "bilinear"), (3, "trilinear")])
def test_a_larger_input_is_interpolated_linearly(
    make_development: Callable[..., Development], monkeypatch: pytest.MonkeyPatch, dimensions: int, mode: str
) -> None:
    images = make_development(dimensions=dimensions, rows=(6, 4)).images
    monkeypatch.setattr(device_dataset, "_CHUNK", 3 * 42**dimensions)
    large = place_images(images, 42, CPU)
    as_float = torch.tensor(images).float().unsqueeze(1)
    expected = torch.nn.functional.interpolate(as_float, [42] * dimensions, mode=mode, align_corners=False)
    assert large.shape == (10, 1, *(42,) * dimensions)
    assert large.dtype == torch.uint8
    assert (large.float() - expected).abs().max() <= 0.5001


def test_a_linear_ramp_stays_one_when_it_is_enlarged() -> None:
    ramp = torch.arange(28.0).expand(1, 1, 28, 28)
    large = resize(ramp, [84, 84])[0, 0, 40]
    assert torch.allclose(large[1:-1], (torch.arange(84) + 0.5)[1:-1] / 3 - 0.5, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "input_size", "edge"), [(28, 28, 28), (28, 14, 14), (28, 42, 42), (8, 28, 8), (8, 42, 42), (64, 28, 28)]
)
def test_up_to_28_no_image_is_enlarged_and_above_every_one_is(size: int, input_size: int, edge: int) -> None:
    assert input_edge(size, input_size) == edge
    assert place_images(np.zeros((2, size, size), np.uint8), input_size, CPU).shape[2:] == (edge, edge)


@pytest.mark.usefixtures("thin")
def test_a_network_trains_at_a_larger_size_and_scores_images_as_stored(development: Development) -> None:
    config = TrainConfig(input_size=42, batch_size=16, precision="fp32")
    assert max(make_device_dataset(development, 42, CPU).images.shape[2:]) == 42
    made = refitted(config, development, epochs=1, seed=0, device="cpu")
    scores = made.model.scores(development.images, "cpu")
    larger = place_images(development.images, 42, CPU)[:, 0].numpy()
    dataset = replace(development.dataset, size=42)
    same = Model(dataset, config, made.model.network, {}).scores(larger, "cpu")
    np.testing.assert_allclose(scores, same, rtol=1e-6)


def test_as_many_large_images_are_scored_at_a_time_as_have_the_pixels_of_small_ones() -> None:
    assert scoring_rows(2, 14) == scoring_rows(2, 28) == 512
    assert scoring_rows(2, 56) == 128
    assert scoring_rows(3, 56) == 4
    assert scoring_rows(3, 128) == 1


@pytest.mark.slow
def test_memory_is_predicted_from_the_size_that_is_trained_on(make_development: Callable[..., Development]) -> None:
    development = make_development(dimensions=3, rows=(6, 4), size=28)
    small, full, large = (
        predicted_peak(TrainConfig(input_size=edge, batch_size=32), development, 1) for edge in (14, 28, 56)
    )
    assert small < full < large
    volume = 32 * 28**3
    assert (large - full) / (full - small) == pytest.approx((8 - 1) / (1 - 1 / 8), rel=0.1)
    assert large - full > 7 * volume * 4000
