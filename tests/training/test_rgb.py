"""RGB images are trained and scored in three channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.data.development import Development, load_development
from hpo.errors import DataError
from hpo.study.catalogue import find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset, place_images
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.loop.model_file import Model, load_model, save_model
from hpo.training.model.network import make_network
from tests.own_files import own_file

_CPU = torch.device("cpu")


@pytest.fixture
def development(tmp_path: Path) -> Development:
    return load_development(find_dataset(str(own_file(tmp_path / "rgb.npz", shape=(12, 12, 3)))), tmp_path)


def test_channels_come_first_on_the_device(development: Development) -> None:
    placed = make_device_dataset(development, 28, _CPU).images
    assert placed.shape == (28, 3, 12, 12)
    assert placed.is_contiguous()
    assert np.array_equal(placed[5, 2].numpy(), development.images[5, :, :, 2])


def test_each_channel_is_resized_by_itself(development: Development) -> None:
    placed = place_images(development.images, 6, _CPU, 3)
    assert placed.shape == (28, 3, 6, 6)
    for channel in range(3):
        grey = place_images(np.ascontiguousarray(development.images[..., channel]), 6, _CPU)
        assert torch.equal(placed[:, channel], grey[:, 0])


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS.names() if name != "none"])
def test_every_augmentation_takes_three_channels(name: str, development: Development) -> None:
    inputs = make_inputs(TrainConfig(augmentation=name), development.dataset)
    resident = make_device_dataset(development, 28, _CPU)
    batch, targets = inputs.for_training(resident.images, resident.labels, torch.Generator().manual_seed(0))
    assert batch.shape == (28, 3, 12, 12)
    assert targets.shape == (28, 1)
    assert bool(torch.isfinite(batch).all())


def test_grey_as_rgb_gives_the_same_scores(tmp_path: Path) -> None:
    grey = load_development(find_dataset(str(own_file(tmp_path / "grey.npz", shape=(8, 8)))), tmp_path)
    three = {
        f"{split}_images": np.repeat(grey.images[part][..., None], 3, axis=-1)
        for split, part in (("train", slice(20)), ("val", slice(20, None)))
    }
    rgb = load_development(find_dataset(str(own_file(tmp_path / "rgb.npz", (20, 8, 0), (8, 8, 3), **three))), tmp_path)
    config = TrainConfig()
    scores = [
        Model(one.dataset, config, make_network(config, one.dataset, 0), {}).scores(one.images, "cpu")
        for one in (grey, rgb)
    ]
    assert np.allclose(scores[0], scores[1], atol=1e-6)


@pytest.mark.slow
def test_a_model_file_knows_its_form_without_the_data(development: Development, tmp_path: Path) -> None:
    config = TrainConfig()
    model = Model(development.dataset, config, make_network(config, development.dataset, 0), {})
    save_model(model, tmp_path / "model.safetensors")
    (tmp_path / "rgb.npz").unlink()
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.dataset.image_shape == (12, 12, 3)
    assert loaded.dataset.official_name == "rgb"
    assert str(tmp_path) not in (tmp_path / "model.safetensors").read_bytes().decode("latin-1")
    assert np.array_equal(loaded.scores(development.images, "cpu"), model.scores(development.images, "cpu"))
    with pytest.raises(DataError, match="RGB"):
        loaded.scores(development.images[..., 0], "cpu")
