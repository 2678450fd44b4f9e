"""`hpo predict` on pictures: a table of files and scores."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo.cli.predict import _write_table
from hpo.data.importing.unlabelled import Found
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.model_file import Model, load_model, save_model
from hpo.training.model.resnet import resnet18
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.own_files import own_file


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("hpo.training.machine.device.set_up_process", lambda _threads: None)
    dataset = find_dataset(str(own_file(tmp_path / "mine.npz", shape=(8, 8))))
    save_model(Model(dataset, TrainConfig(input_size=8), resnet18(2, 1, 0), {}), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    (tmp_path / "new").mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / "new" / f"{number}.png")
    (tmp_path / "new" / "notes.txt").touch()
    return images


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table_of_files_and_scores(tmp_path: Path, model: Path, images: np.ndarray) -> None:
    found = hpo_here("predict", str(model), "new", "--out", "made/scores.csv", "--device", "cpu", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    table = rows(tmp_path / "made" / "scores.csv")
    assert [row["file"] for row in table] == [f"{number}.png" for number in range(5)]
    expected = load_model(model).scores(images, "cpu")[:, 0]
    np.testing.assert_allclose([float(row["score"]) for row in table], expected, rtol=1e-6)


def test_files_are_called_as_they_were_given(tmp_path: Path, model: Path, images: np.ndarray) -> None:
    given = ("new/3.png", "new/1.png")
    found = hpo_here("predict", str(model), *given, "--out", "-", "--device", "cpu", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert [line.split(",")[0] for line in found.stdout.splitlines()] == ["file", *given]
    assert len(images) == 5


def test_an_array_is_scored_on_stdout(tmp_path: Path, model: Path) -> None:
    words = ("mine.npz", "--array", "train_images", "--out", "-", "--device", "cpu")
    found = hpo_here("predict", str(model), *words, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    with np.load(tmp_path / "mine.npz") as arrays:
        expected = load_model(model).scores(arrays["train_images"], "cpu")[:, 0]
    lines = [line.split(",") for line in found.stdout.splitlines()]
    np.testing.assert_allclose([float(score) for _, score in lines], expected, rtol=1e-6)
    assert not (tmp_path / "-").exists()


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    "labels", [("file", "score"), ("file", "path"), ("a", "a"), ("", "")], ids=lambda labels: "-".join(labels)
)
def test_whatever_labels_are_called_no_column_is_lost(tmp_path: Path, labels: tuple[str, str]) -> None:
    names = [f"new/{number}.png" for number in range(5)]
    found = Found(tuple((name, tmp_path / name) for name in names), 0)
    own = find_dataset(str(own_file(tmp_path / "two.npz", shape=(8, 8), labels=2)))
    assert own.own is not None
    dataset = replace(own, own=own.own.model_copy(update={"label_names": labels}))
    _write_table(found, dataset, np.arange(10, dtype=np.float64).reshape(5, 2), tmp_path / "scores.csv")
    table = [list(row.values()) for row in rows(tmp_path / "scores.csv")]
    assert [row[0] for row in table] == names
    assert [list(map(float, row[1:])) for row in table] == [[2 * number, 2 * number + 1] for number in range(5)]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("new", "--array", "images"), 2),
        (("mine.npz", "new"), 2),
        (("mine.npz", "--array", "train_images", "--fit", "pad"), 2),
        (("new", "--window", "3", "1"), 2),
        (("gone",), 4),
        (("new/notes.txt",), 4),
    ],
    ids=str,
)
@pytest.mark.usefixtures("images")
def test_what_does_not_go_together_is_refused(tmp_path: Path, model: Path, words: tuple[str, ...], code: int) -> None:
    found = hpo_here("predict", str(model), *words, "--out", "scores.csv", "--device", "cpu", cwd=tmp_path)
    assert found.returncode == code
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.usefixtures("images")
def test_without_out_the_scores_are_here_and_are_replaced_with_force_only(tmp_path: Path, model: Path) -> None:
    words = ("predict", str(model), "new", "--device", "cpu")
    made = hpo_here(*words, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (made.stdout + made.stderr).count("scores.csv") == 1
    assert len(rows(tmp_path / "scores.csv")) == 5

    (tmp_path / "scores.csv").write_text("mine")
    refused = hpo_here(*words, cwd=tmp_path)
    assert refused.returncode == 9
    assert unmentioned(refused.stderr, "scores.csv", "--out", "--force") == []
    assert (tmp_path / "scores.csv").read_text() == "mine"

    assert hpo_here(*words, "--force", cwd=tmp_path).returncode == 0
    assert len(rows(tmp_path / "scores.csv")) == 5


def test_the_scores_of_an_array_replace_no_file_either(tmp_path: Path, model: Path) -> None:
    (tmp_path / "scores.csv").write_text("mine")
    words = ("predict", str(model), "mine.npz", "--array", "train_images", "--device", "cpu")
    assert hpo_here(*words, cwd=tmp_path).returncode == 9
    assert (tmp_path / "scores.csv").read_text() == "mine"
    made = hpo_here(*words, "--force", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (made.stdout + made.stderr).count("scores.csv") == 1


@pytest.mark.usefixtures("images")
def test_a_file_in_the_home_folder_is_the_one_that_is_looked_for_and_written(tmp_path: Path, model: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words = ("predict", str(model), "new", "--out", "~/scores.csv", "--device", "cpu")
    made = hpo_here(*words, cwd=tmp_path, HOME=str(home))
    assert made.returncode == 0, made.stderr
    assert len(rows(home / "scores.csv")) == 5
    assert not (tmp_path / "~").exists()

    (home / "scores.csv").write_text("mine")
    assert hpo_here(*words, cwd=tmp_path, HOME=str(home)).returncode == 9
    assert (home / "scores.csv").read_text() == "mine"


@pytest.mark.usefixtures("images")
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = hpo_here("predict", "no-model", "new", "--out", "file/scores.csv", cwd=tmp_path)
    assert found.returncode == 9
