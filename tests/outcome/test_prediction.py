"""Scores as a file that MedMNIST's own evaluator reads."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import nn

from hpo.errors import DataError, OutputError
from hpo.outcome.prediction import load_models, predict, read_images, write_scores
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
def small(tmp_path_factory: pytest.TempPathFactory, linear_network: None) -> Path:
    """The file of a network of .6 kB, of 45 MB with a ResNet, to be damaged."""
    path = tmp_path_factory.mktemp("small") / "model.safetensors"
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    save_model(Model(find_dataset("digits"), TrainConfig(network="linear"), network, {}), path)
    return path


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)


@pytest.mark.slow
def test_a_folder_scores_with_the_mean_of_its_networks(folder: Path, images: np.ndarray) -> None:
    each = [load_model(path).scores(images, "cpu") for path in sorted(folder.iterdir())]
    np.testing.assert_allclose(predict(load_models(folder), images, "cpu"), np.mean(each, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(predict(load_models(folder / "model-0.safetensors"), images, "cpu"), each[0])


@pytest.mark.parametrize("other", ["chest", "breast"])
def test_networks_of_different_data_are_not_averaged(other: str, tmp_path: Path, linear_network: None) -> None:
    for number, name in enumerate(("pneumonia", other)):
        dataset = find_dataset(name)
        network = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, dataset.labels))
        save_model(Model(dataset, TrainConfig(network="linear"), network, {}), tmp_path / f"{number}.safetensors")
    with pytest.raises(DataError) as refused:
        load_models(tmp_path)
    assert unmentioned(refused.value, tmp_path, "0.safetensors", "1.safetensors") == []
    assert len(load_models(tmp_path / "1.safetensors")) == 1


def test_networks_of_different_configurations_are_not_averaged(tmp_path: Path, linear_network: None) -> None:
    """As a folder of final networks holds them, of the winner and of the baselines."""
    dataset = find_dataset("digits")
    for number, loss in enumerate(("aucm_v2", "aucm_v2", "cross_entropy")):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
        model = Model(dataset, TrainConfig(network="linear", loss=loss), network, {})
        save_model(model, tmp_path / f"{number}.safetensors")
    with pytest.raises(DataError) as refused:
        load_models(tmp_path)
    assert unmentioned(refused.value, tmp_path, "0.safetensors", "2.safetensors", "`hpo export`") == []
    (tmp_path / "2.safetensors").unlink()
    assert len(load_models(tmp_path)) == 2


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


def test_arrays_that_are_no_images_are_not_offered(tmp_path: Path, images: np.ndarray) -> None:
    path = tmp_path / "x.npz"
    labels, names = np.zeros((6, 1), np.uint8), np.array("edge")
    np.savez(path, train_images=images, val_images=images, train_labels=labels, pixels=names)
    with pytest.raises(DataError) as refused:
        read_images(path, "images")
    assert "'train_images', 'val_images'" in str(refused.value)
    assert not any(name in str(refused.value) for name in ("train_labels", "pixels"))
    np.savez(path, train_labels=labels)
    with pytest.raises(DataError, match="uint8"):
        read_images(path, None)


def test_what_is_no_archive_or_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz"):
        read_images(tmp_path / "none.npz", None)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"text\.npz"):
        read_images(tmp_path / "text.npz", None)


def test_a_folder_without_networks_and_a_place_that_is_closed_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        load_models(tmp_path)
    assert unmentioned(refused.value, tmp_path, "`hpo export`") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        write_scores(np.zeros((1, 1), np.float32), tmp_path / "file" / "s.csv")


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], kept: float = 1.0) -> Path:
    """A model file with a changed header, or cut."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    made = path.with_name("changed.safetensors")
    whole = struct.pack("<Q", len(text)) + text + content[8 + length :]
    made.write_bytes(whole[: int(kept * len(whole))])
    return made


def first_weight(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name.endswith("weight"))


BROKEN_MODELS: dict[str, Callable[[dict[str, Any]], None]] = {
    **{
        f"{key} = {value[:12]!r}": lambda header, key=key, value=value: header["__metadata__"].update({key: value})
        for key, value in (
            *(("about", value) for value in ("", "{", "[]", "3", '{"a": 1}', "[" * 50_000, "9" * 5000)),
            *(("config", value) for value in ("", "{}x", "[]", '{"margin": 9}', "[" * 50_000)),
            *(("dataset", value) for value in ("", "brest", "\x1b[2J")),
            ("format", "2"),
        )
    },
    "no description": lambda header: header.pop("__metadata__"),
    "two weights for one": lambda header: header.update(
        {"other": header.pop(next(k for k in header if "weight" in k))}
    ),
    "int32 for float32": lambda header: first_weight(header).update(dtype="I32"),
    "an unknown type": lambda header: first_weight(header).update(dtype="X9"),
    "another shape": lambda header: first_weight(header).update(shape=[1]),
    "offsets beyond the file": lambda header: first_weight(header).update(data_offsets=[0, 10**15]),
}


@pytest.mark.parametrize("kind", BROKEN_MODELS)
def test_a_model_that_is_not_what_it_says_is_refused(kind: str, small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path)
    load_model(rewritten(tmp_path / small.name, lambda _: None))
    with pytest.raises(DataError):
        load_model(rewritten(tmp_path / small.name, BROKEN_MODELS[kind]))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64, torch.float64, torch.uint8])
def test_weights_of_another_type_are_refused(dtype: torch.dtype, small: Path, tmp_path: Path) -> None:
    """torch would convert them without a word."""
    with safe_open(small, framework="pt") as file:
        description = file.metadata()
        tensors = {name: file.get_tensor(name).to(dtype) for name in file.keys()}  # noqa: SIM118 - not a mapping
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata=description)
    with pytest.raises(DataError):
        load_model(path)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9999])
def test_a_cut_model_is_refused(kept: float, small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path)
    with pytest.raises(DataError):
        load_model(rewritten(tmp_path / small.name, lambda _: None, kept))


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/proc/self/mem", "."])
def test_what_is_no_file_is_no_model_and_no_images(name: str) -> None:
    with pytest.raises(DataError):
        load_model(Path(name))
    with pytest.raises(DataError):
        read_images(Path(name), None)


@pytest.mark.parametrize(
    "images",
    [
        *(np.zeros((4, 8, 8), kind) for kind in ("int8", "bool", "complex64", "float32", "U1")),
        *(np.zeros(shape, np.uint8) for shape in ((4, 1, 1), (1, 5000, 1), (4, 28, 28), (4, 8, 8, 3), (0, 8, 8))),
    ],
    ids=lambda images: f"{images.dtype} {images.shape}",
)
def test_images_of_another_form_are_refused(images: np.ndarray, folder: Path) -> None:
    with pytest.raises(DataError):
        predict(load_models(folder / "model-0.safetensors"), images, "cpu")
