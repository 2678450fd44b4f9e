"""`hpo data describe`: what is in a dataset or a file, and nothing of the test part but its size."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hpo.cli.render.class_sheet import draw_classes
from hpo.data.described import Described, read_described
from hpo.data.description import describe
from hpo.data.duplicates import near_duplicates
from tests.cli.run import hpo_here

RANDOM = np.random.default_rng(3)

PARTS = {"train": 30, "val": 10, "test": 12}


def described(count: int = 200, labels: int = 1, shape: tuple[int, ...] = (8, 8), dimensions: int = 2) -> Described:
    """Noise, half of it positive in each label; the last quarter is val."""
    return Described(
        name="made",
        images=RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8),
        labels=np.tile(np.arange(count, dtype=np.uint8)[:, None] % 2, (1, labels)),
        is_validation=np.arange(count) >= count * 3 // 4,
        dimensions=dimensions,
        label_names=tuple("abc"[:labels]),
        groups=None,
        near_duplicates=0.95,
        test_samples=17,
    )


def warned(data: Described, *words: str) -> bool:
    return any(all(word in line for word in words) for line in describe(data).warnings)


def file(path: Path, **changes: np.ndarray | None) -> Path:
    arrays = {}
    for part, count in PARTS.items():
        arrays[f"{part}_images"] = RANDOM.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 2
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_dataset_without_surprises_has_no_warnings() -> None:
    found = describe(described())
    assert found.warnings == ()
    assert [(part.part, part.samples, part.positives) for part in found.parts] == [
        ("train", 150, (75,)),
        ("val", 50, (25,)),
        ("test", 17, None),
    ]


def test_pixels_are_counted() -> None:
    data = described(100)
    data.images[:] = 10
    data.images[0, 0, 0] = 30
    found = describe(data, look_for_duplicates=False)
    assert (found.lowest, found.highest, found.constant_images) == (10, 30, 99)
    assert found.mean == pytest.approx(10 + 20 / 6400)
    assert any("255" in line for line in found.warnings)
    assert found.near_duplicates is None


def test_a_label_that_is_rare_or_constant_is_told() -> None:
    data = described(400, labels=3)
    data.labels[:, 0], data.labels[:, 1] = 0, 1
    data.labels[:3, 1] = 0
    assert warned(data, "a:", "one class")
    assert warned(data, "b:", "almost constant", "3 negatives")
    assert warned(data, "b:", "in each of 5 folds")
    assert not warned(data, "c:")


def test_groups_of_both_classes_and_across_parts_are_told() -> None:
    data = described(200)
    apart = replace(data, groups=np.arange(200))
    assert describe(apart).warnings == ()
    groups = np.arange(200)
    groups[2], groups[160] = 0, 0
    assert warned(replace(data, groups=groups), "1 group ", "train and in val")
    assert not warned(replace(data, groups=groups), "both classes")
    groups[1] = 0
    assert warned(replace(data, groups=groups), "a:", "1 of 1 group ")
    assert (describe(replace(data, groups=groups)).groups, describe(replace(data, groups=groups)).largest_group) == (
        197,
        4,
    )


def test_identical_images_of_two_labels_are_told() -> None:
    data = described(200)
    data.images[1], data.images[199] = data.images[0], data.images[5]
    found = describe(data).near_duplicates
    assert (found.pairs, found.exact, found.samples, found.across) == (2, 2, 4, 1)
    assert (found.conflicts, found.exact_conflicts) == (1, 1)
    assert warned(data, "1 pair of identical")
    assert warned(data, "across train and val")


def test_the_correlation_from_which_folds_keep_near_duplicates_together_is_told() -> None:
    data = described(100)
    alike = np.clip(data.images[:1] + RANDOM.normal(0, 12, data.images.shape), 0, 255).astype(np.uint8)
    found = describe(replace(data, images=alike)).near_duplicates
    assert found is not None
    assert found.kept_together > found.correlation == 0.95


def test_large_images_have_the_near_duplicates_that_folds_keep_together() -> None:
    data = described(120, shape=(40, 40))
    smooth = np.mean([np.roll(data.images, step, axis=(1, 2)) for step in range(3)], axis=0)
    mixed = np.linspace(0, 0.6, 60)[:, None, None]
    smooth[60:] = (1 - mixed) * smooth[:60] + mixed * RANDOM.uniform(0, 255, (60, 40, 40))
    images = smooth.astype(np.uint8)
    found = describe(replace(data, images=images)).near_duplicates
    assert found is not None
    assert found.pairs == len(near_duplicates(images)) > 0


def test_images_of_equal_thumbnails_are_not_identical() -> None:
    data = described(20, shape=(56, 56))
    data.images[1] = data.images[0]
    data.images[1, 0, 0], data.images[1, 0, 1] = (
        data.images[0, 0, 1],
        data.images[0, 0, 0] + (data.images[0, 0, 0] == data.images[0, 0, 1]),
    )
    found = describe(data).near_duplicates
    assert (found.pairs, found.exact) == (1, 0)


def test_a_file_is_read_but_not_its_test_part(tmp_path: Path) -> None:
    """Images of the test part are damaged here, which only a reader of them would notice."""
    many = RANDOM.integers(0, 256, (4000, 8, 8), dtype=np.uint8)
    labels = np.arange(4000, dtype=np.uint8)[:, None] % 2
    path = file(tmp_path / "mine.npz", label_names=np.array(["tumour"]), test_images=many, test_labels=labels)
    content = bytearray(path.read_bytes())
    whole = many.tobytes()
    place = bytes(content).index(whole)
    content[place : place + len(whole)] = bytes(len(whole))
    path.write_bytes(content)
    data = read_described(str(path), tmp_path)
    assert (len(data.images), data.test_samples, data.label_names) == (40, 4000, ("tumour",))


def test_a_val_part_without_samples_is_none(tmp_path: Path) -> None:
    none = {"val_images": np.zeros((0, 8, 8), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}
    assert not read_described(str(file(tmp_path / "mine.npz", **none)), tmp_path).is_validation.any()


def test_nothing_of_the_test_part_but_its_size_is_told(tmp_path: Path) -> None:
    few = (np.arange(12) < 2).astype(np.uint8)[:, None]
    ones = file(tmp_path / "a.npz", test_labels=1 - few)
    told = [json.loads(hpo_here("data", "describe", "a.npz", "--json", cwd=tmp_path).stdout)]
    with np.load(ones) as arrays:
        others = {**arrays, "test_labels": few, "test_images": 255 - arrays["test_images"]}
    np.savez(ones, **others)
    told.append(json.loads(hpo_here("data", "describe", "a.npz", "--json", cwd=tmp_path).stdout))
    assert told[0] == told[1]
    assert told[0]["parts"][2] == {"part": "test", "samples": 12, "positives": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"train_images": None},
        {"train_labels": None},
        {"train_images": np.zeros((30, 8, 8))},
        {"train_labels": np.full((30, 1), 3, np.uint8)},
        {"train_labels": np.zeros((29, 1), np.uint8)},
        {"train_images": np.zeros((30, 9, 9), np.uint8)},
        {"train_groups": np.zeros(29, np.int64)},
    ],
    ids=["no images", "no labels", "type", "labels", "count", "shapes", "groups"],
)
def test_a_file_of_another_form_is_refused(changes: dict[str, np.ndarray], tmp_path: Path) -> None:
    file(tmp_path / "mine.npz", **changes)
    run = hpo_here("data", "describe", "mine.npz", cwd=tmp_path)
    assert run.returncode == 4, run.stderr


@pytest.mark.parametrize(("name", "code"), [("nothing.npz", 4), ("nothing", 2)])
def test_what_is_not_there_is_refused(name: str, code: int, tmp_path: Path) -> None:
    assert hpo_here("data", "describe", name, cwd=tmp_path).returncode == code


def test_a_built_in_dataset_is_described_with_a_picture(tmp_path: Path) -> None:
    run = hpo_here("data", "describe", "digits", "--picture", "digits.png", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for fact in ("1,257", "180", "360", "sealed", "8 x 8"):
        assert fact in run.stdout
    assert imread(tmp_path / "digits.png").shape[1] > 1000
    assert hpo_here("data", "describe", "digits", "--picture", "no/such.png", "--quick", cwd=tmp_path).returncode == 9


@pytest.mark.parametrize(
    ("labels", "shape", "dimensions", "drawn"),
    [(1, (8, 8), 2, 48), (1, (8, 8, 3), 2, 48), (3, (8, 8, 8), 3, 4 * 12)],
    ids=["grey", "RGB", "volumes"],
)
def test_samples_of_each_class_are_drawn(
    labels: int, shape: tuple[int, ...], dimensions: int, drawn: int, tmp_path: Path
) -> None:
    data = described(48, labels, shape, dimensions)
    assert draw_classes(data, tmp_path / "sheet.png") == drawn
    assert imread(tmp_path / "sheet.png").ndim == 3


@pytest.mark.filterwarnings("error:Glyph")
@pytest.mark.parametrize("label", ["$_{$", "乳腺"])
def test_a_label_is_neither_a_formula_nor_boxes(label: str, tmp_path: Path) -> None:
    data = dataclasses.replace(described(48, 1, (8, 8), 2), label_names=(label,))
    assert draw_classes(data, tmp_path / "sheet.png") == 48


def test_the_table_has_a_row_for_each_part_and_label_and_hides_what_is_sealed(tmp_path: Path) -> None:
    labels = {f"{part}_labels": np.arange(2 * count).reshape(count, 2) // 2 % 2 for part, count in PARTS.items()}
    file(tmp_path / "mine.npz", **labels)
    done = hpo_here("data", "describe", "mine.npz", "--quick", "--csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["part"], row["label"]) for row in rows] == [
        (part, f"label {number}") for part in PARTS for number in (0, 1)
    ]
    assert [int(row["samples"]) for row in rows] == [count for count in PARTS.values() for _ in range(2)]
    assert [row["positives"] for row in rows] == ["15", "15", "5", "5", "", ""]
    assert hpo_here("data", "describe", "mine.npz", "--csv", "--json", cwd=tmp_path).returncode == 2
