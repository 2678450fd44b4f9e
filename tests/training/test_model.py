"""Trained networks as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hpo.errors import DataError, OutputError
from hpo.outcome.prediction import write_scores
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.model_file import Model, load_model, save_model
from hpo.training.model.resnet import resnet18
from tests.mention import unmentioned

DIGITS = find_dataset("digits")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(DIGITS, TrainConfig(loss="cross_entropy"), resnet18(2, 1, seed=3), {"entry": "trial 3"})


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)


@pytest.fixture
def path(model: Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "models" / "m.safetensors")
    return tmp_path / "models" / "m.safetensors"


def test_a_file_gives_back_the_network_its_settings_and_its_scores(
    model: Model, path: Path, images: np.ndarray
) -> None:
    loaded = load_model(path)
    assert (loaded.dataset, loaded.config, loaded.about) == (model.dataset, model.config, model.about)
    np.testing.assert_array_equal(loaded.scores(images, "cpu"), model.scores(images, "cpu"))
    assert [entry.name for entry in path.parent.iterdir()] == ["m.safetensors"]


def test_scores_are_sigmoids_of_the_networks_logits_on_images_as_training_scores_them(
    model: Model, images: np.ndarray
) -> None:
    prepared = torch.from_numpy(images).unsqueeze(1).float() / 255 * 2 - 1
    with torch.inference_mode():
        expected = torch.sigmoid(model.network.eval()(prepared)).numpy()
    found = model.scores(images, "cpu")
    assert found.shape == (5, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


class _Brightness(torch.nn.Module):
    """A network whose logit is 30 for a white image and -30 for a black one."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 30 * images.flatten(1).mean(dim=1, keepdim=True)


def test_a_confident_network_keeps_its_ranking(tmp_path: Path) -> None:
    confident = Model(DIGITS, TrainConfig(loss="cross_entropy"), _Brightness(), {})
    levels = np.arange(190, 256, dtype=np.uint8)
    scores = confident.scores(np.broadcast_to(levels[:, None, None], (levels.size, 8, 8)).copy(), "cpu")
    assert scores.dtype == np.float64
    assert (np.diff(scores[:, 0]) > 0).all()
    assert scores.max() < 1
    # The table of `hpo predict` keeps it, too.
    write_scores(scores, tmp_path / "scores.csv")
    told = [float(line.split(",")[1]) for line in (tmp_path / "scores.csv").read_text().splitlines()]
    np.testing.assert_array_equal(told, scores[:, 0])


def test_progress_is_reported_to_the_end(model: Model) -> None:
    shares: list[float] = []
    model.scores(np.zeros((600, 8, 8), np.uint8), "cpu", shares.append)
    assert shares == [512 / 600, 1.0]


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.uint8), np.zeros((0, 8, 8), np.uint8)],
    ids=["floats", "colours", "none"],
)
def test_images_of_another_form_are_refused_with_what_is_wanted(model: Model, images: np.ndarray) -> None:
    with pytest.raises(DataError) as refused:
        model.scores(images, "cpu")
    assert unmentioned(refused.value, images.dtype, images.shape, "digits", "uint8", "(N, 8, 8)") == []


def test_a_file_that_is_missing_cut_short_or_no_model_is_reported_in_a_sentence(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        load_model(tmp_path / "none.safetensors")
    assert unmentioned(refused.value, tmp_path / "none.safetensors", "`hpo export STUDY`") == []
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:1000])
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    for wrong in (cut, tmp_path / "other.safetensors"):
        with pytest.raises(DataError) as refused:
            load_model(wrong)
        assert unmentioned(refused.value, wrong) == []
        assert "\n" not in str(refused.value)


def test_weights_of_another_network_or_not_finite_are_refused(path: Path) -> None:
    tensors = load_file(path)
    description = {"format": "1", "dataset": "digits", "config": TrainConfig().model_dump_json()}
    save_file({**tensors, "linear.weight": torch.zeros(14, 512)}, path, metadata=description)
    with pytest.raises(DataError) as refused:
        load_model(path)
    assert unmentioned(refused.value, path) == []
    assert "finite" not in str(refused.value)
    save_file({**tensors, "linear.bias": torch.tensor([float("nan")])}, path, metadata=description)
    with pytest.raises(DataError, match="finite"):
        load_model(path)


def test_a_place_that_cannot_be_written_is_reported(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as refused:
        save_model(model, tmp_path / "file" / "m.safetensors")
    assert unmentioned(refused.value, tmp_path / "file" / "m.safetensors") == []
