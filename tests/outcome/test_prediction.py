"""Scores as a file that MedMNIST's own evaluator reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpo.errors import DataError, OutputError
from hpo.outcome.prediction import predict, read_images, write_scores
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.model_file import Model, load_model, save_model
from hpo.training.model.resnet import resnet18
from tests.mention import unmentioned


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks for digits."""
    made = tmp_path_factory.mktemp("models")
    for seed in range(2):
        model = Model(find_dataset("digits"), TrainConfig(), resnet18(2, 1, seed), {})
        save_model(model, made / f"model-{seed}.safetensors")
    return made


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)


def test_a_folder_scores_with_the_mean_of_its_networks(folder: Path, images: np.ndarray) -> None:
    each = [load_model(path).scores(images, "cpu") for path in sorted(folder.iterdir())]
    np.testing.assert_allclose(predict(folder, images, "cpu"), np.mean(each, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(predict(folder / "model-0.safetensors", images, "cpu"), each[0])


@pytest.mark.realdata
def test_medmnists_evaluator_reads_the_file_and_finds_our_auc(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medmnist.evaluator import Evaluator

    monkeypatch.setattr(Evaluator.__init__, "__defaults__", (None, str(data_dir)))
    labels = np.load(data_dir / "breastmnist.npz")["val_labels"]
    scores = np.random.default_rng(0).random((len(labels), 1)).astype(np.float32)
    path = tmp_path / "breastmnist_val@1.csv"
    write_scores(scores, path)
    found = Evaluator.parse_and_evaluate(str(path))
    assert pytest.approx(roc_auc_score(labels[:, 0], scores[:, 0])) == found.AUC


def test_the_array_is_the_only_one_of_images_or_the_one_that_is_named(tmp_path: Path, images: np.ndarray) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=images, labels=np.zeros(6))
    np.testing.assert_array_equal(read_images(path, None), images)
    np.savez(path, train_images=images, val_images=images[:2])
    with pytest.raises(DataError) as refused:
        read_images(path, None)
    assert unmentioned(refused.value, path, "--array", "train_images", "val_images") == []
    assert len(read_images(path, "val_images")) == 2
    with pytest.raises(DataError) as refused:
        read_images(path, "other")
    assert unmentioned(refused.value, path, "other", "--array", "train_images", "val_images") == []


def test_what_is_no_archive_or_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz"):
        read_images(tmp_path / "none.npz", None)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"text\.npz"):
        read_images(tmp_path / "text.npz", None)


def test_a_folder_without_networks_and_a_place_that_is_closed_are_said(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(DataError) as refused:
        predict(tmp_path, images, "cpu")
    assert unmentioned(refused.value, tmp_path, "`hpo export`") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        write_scores(np.zeros((1, 1), np.float32), tmp_path / "file" / "s.csv")
