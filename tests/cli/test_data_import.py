"""`hpo data import`: the command line, with real images: scikit-learn's digits as PNG files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.cli.run import hpo_here

_COUNT, _WRITERS = 240, 30


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `digits/*.png`, and `labels.csv`: the digit and a made writer of each."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "digits").mkdir()
    digits = load_digits()
    lines = ["file,label,writer"]
    for number in range(_COUNT):
        pixels = np.rint(digits.images[number] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "digits" / f"{number}.png")
        lines.append(f"{number}.png,{digits.target[number]},W{number % _WRITERS}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def imported(photos: Path, out: Path, *options: str) -> dict[str, np.ndarray]:
    run = hpo_here("data", "import", "digits", "--labels", "labels.csv", "--out", str(out), *options, cwd=photos)
    assert run.returncode == 0, run.stderr
    with np.load(out) as arrays:
        return dict(arrays)


def test_a_folder_becomes_a_file_of_medmnist_form(photos: Path, tmp_path: Path) -> None:
    arrays = imported(photos, tmp_path / "mine.npz", "--positive", "8", "--group", "writer")
    digits = load_digits()
    assert sorted(arrays) == sorted(
        [f"{part}_{kind}" for part in ("train", "test") for kind in ("images", "labels", "groups")]
        + ["label_names", "name", "pixels"]
    )
    assert arrays["train_images"].shape[1:] == (8, 8)
    assert arrays["train_images"].dtype == arrays["train_labels"].dtype == np.uint8
    assert (arrays["label_names"].tolist(), str(arrays["name"])) == (["8"], "mine")
    labels = np.concatenate([arrays["train_labels"], arrays["test_labels"]])
    assert labels.shape == (_COUNT, 1)
    assert labels.sum() == (digits.target[:_COUNT] == 8).sum()
    assert not set(arrays["train_groups"]) & set(arrays["test_groups"])
    assert 0.15 * _COUNT < len(arrays["test_labels"]) < 0.25 * _COUNT
    expected = {np.rint(image * (255 / 16)).astype(np.uint8).tobytes() for image in digits.images[:_COUNT]}
    assert {image.tobytes() for part in ("train", "test") for image in arrays[f"{part}_images"]} == expected


def test_equal_input_gives_equal_bytes(photos: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        imported(photos, tmp_path / name / "mine.npz", "--positive", "8", "--val-share", "0.1", "--seed", "3")
    assert (tmp_path / "one" / "mine.npz").read_bytes() == (tmp_path / "two" / "mine.npz").read_bytes()


def test_a_single_one_has_no_plural(photos: Path, tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / "classes" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "digits" / f"{number}.png", folder)
    (tmp_path / "classes" / "notes.txt").touch()
    run = hpo_here("data", "import", "classes", "--out", "mine.npz", cwd=tmp_path)
    assert "1 file;" in run.stdout + run.stderr
    options = ("--positive", "8", "--group", "file", "--out", str(tmp_path / "other.npz"))
    run = hpo_here("data", "import", "digits", "--labels", "labels.csv", *options, cwd=photos)
    assert "the largest of 1 sample," in run.stdout


def test_another_seed_draws_other_parts(photos: Path, tmp_path: Path) -> None:
    drawn = [imported(photos, tmp_path / f"{seed}.npz", "--positive", "8", "--seed", seed) for seed in ("1", "2")]
    assert not np.array_equal(drawn[0]["test_images"], drawn[1]["test_images"])


def test_of_the_test_part_only_the_number_of_samples_is_told(photos: Path, tmp_path: Path) -> None:
    run = hpo_here(
        *("data", "import", "digits", "--labels", "labels.csv", "--positive", "8", "--json"),
        *("--out", str(tmp_path / "mine.npz")),
        cwd=photos,
    )
    told = {part["part"]: part["positives"] for part in json.loads(run.stdout)["parts"]}
    assert told["test"] is None
    assert told["train"][0] > 0


def test_a_file_is_replaced_by_force_only(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"precious")
    words = ("data", "import", "digits", "--labels", "labels.csv", "--positive", "8")
    out = ("--out", str(tmp_path / "mine.npz"))
    assert hpo_here(*words, *out, cwd=photos).returncode == 9
    assert (tmp_path / "mine.npz").read_bytes() == b"precious"
    assert hpo_here(*words, *out, "--force", cwd=photos).returncode == 0
    assert (tmp_path / "mine.npz").read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 4),
        (("--positive", "11"), 4),
        (("--positive", "8", "--label-column", "diagnosis"), 4),
        (("--positive", "8", "--group", "patient"), 4),
        (("--positive", "8", "--split-column", "part"), 4),
        (("--positive", "8", "--window", "9", "3"), 2),
        (("--positive", "8", "--test-share", "0.6", "--val-share", "0.4"), 2),
        (("--positive", "8", "--labels-columns", "label,"), 2),
        (("--positive", "8", "--size", "500"), 2),
        (("--positive", "8", "--near-duplicates", "never"), 2),
    ],
)
def test_what_cannot_be_imported_is_refused_and_nothing_written(
    options: tuple[str, ...], code: int, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.npz"
    run = hpo_here("data", "import", "digits", "--labels", "labels.csv", "--out", str(out), *options, cwd=photos)
    assert run.returncode == code, run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("out", "code"), [("mine.zip", 2), ("no/such/mine.npz", 9)])
def test_the_file_to_write_is_checked_first(out: str, code: int, photos: Path) -> None:
    run = hpo_here("data", "import", "nowhere", "--labels", "nothing.csv", "--out", out, cwd=photos)
    assert run.returncode == code


def test_a_folder_that_cannot_be_written_is_told_before_images_are_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root, who may run this, can write anywhere.
    monkeypatch.setattr("hpo.files.why_unwritable", lambda _folder: "it is read-only")
    words = (str(photos / "digits"), "--labels", str(photos / "labels.csv"), "--out", "mine.npz", "--positive", "8")
    found = hpo_here("data", "import", *words, cwd=tmp_path)
    assert found.returncode == 9
    assert "reading" not in found.stderr


def test_the_values_of_a_column_of_many_classes_are_told(photos: Path, tmp_path: Path) -> None:
    run = hpo_here(
        "data", "import", "digits", "--labels", "labels.csv", "--out", str(tmp_path / "mine.npz"), cwd=photos
    )
    for fact in ("'3' (", "--positive", "label"):
        assert fact in run.stderr
