"""The development set: train first, then validation, read-only, and nothing of the test set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hpo.data import digits
from hpo.data.development import Development, load_development
from hpo.data.digits import digit_arrays, hard_arrays
from hpo.study.catalogue import DATASETS, Dataset, find_dataset
from tests.arrays import FEW_ROWS, made_arrays, made_npz, written

DIGITS = find_dataset("digits")
HARD = find_dataset("digits-hard")


@pytest.mark.parametrize("dataset", [d for d in DATASETS if d.md5], ids=lambda dataset: dataset.name)
def test_train_rows_come_first_and_validation_rows_after(dataset: Dataset, tmp_path: Path) -> None:
    arrays = made_arrays(dataset)
    development = load_development(made_npz(dataset, tmp_path), tmp_path)
    np.testing.assert_array_equal(development.images[~development.is_validation], arrays["train_images"])
    np.testing.assert_array_equal(development.labels[development.is_validation], arrays["val_labels"])
    assert np.flatnonzero(development.is_validation)[0] == FEW_ROWS[0]
    assert len(development) == FEW_ROWS[0] + FEW_ROWS[1]


def test_the_checksum_of_the_file_is_kept(tmp_path: Path) -> None:
    made = made_npz(find_dataset("breast"), tmp_path)
    assert load_development(made, tmp_path).md5 == made.md5


def test_no_field_holds_a_test_row(tmp_path: Path) -> None:
    dataset = dataclasses.replace(find_dataset("breast"), rows=FEW_ROWS)
    arrays = made_arrays(dataset)
    arrays["test_images"][:] = 255
    for split in ("train", "val"):
        np.minimum(arrays[f"{split}_images"], 250, out=arrays[f"{split}_images"])
    development = load_development(written(dataset, tmp_path, arrays), tmp_path)
    assert not [name for name in dir(development) if "test" in name]
    for field in dataclasses.fields(Development):
        value = getattr(development, field.name)
        if isinstance(value, np.ndarray):
            assert len(value) == FEW_ROWS[0] + FEW_ROWS[1]
            assert value.base is None or len(value.base) == len(value)
    assert development.images.max() <= 250


@pytest.mark.parametrize("name", ["images", "labels", "is_validation"])
def test_arrays_cannot_be_written_to(name: str, development: Development) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(development, name)[0] = 1


def test_fields_cannot_be_replaced(development: Development) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        development.labels = development.labels  # type: ignore[misc]


def test_arrays_of_unequal_length_are_refused(development: Development) -> None:
    with pytest.raises(ValueError, match=r"\(52,.*\(51,.*\(52,"):
        dataclasses.replace(development, labels=development.labels[:-1])


def test_digits_are_1437_rows_of_8_by_8_with_one_in_ten_positive() -> None:
    development = load_development(DIGITS, Path("/nowhere"))
    assert development.images.shape == (1437, 8, 8)
    assert development.images.max() == 255
    assert development.is_validation.sum() == 180
    assert development.labels.mean() == pytest.approx(174 / 1797, abs=0.001)


def test_digits_have_a_checksum_that_stays_the_same() -> None:
    assert load_development(DIGITS, Path("/nowhere")).md5 == "aa580c0fca37c9ba2dd58409fc410849"


def test_digits_are_those_of_scikit_learn_whether_or_not_its_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = load_digits()
    read = digits._bundled()
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    for brightness, shown in (read, digits._bundled()):
        assert np.array_equal(brightness, bundled.images)
        assert np.array_equal(shown, bundled.target)


def test_splits_of_digits_have_the_rows_of_the_catalogue_and_equal_shares_of_eights() -> None:
    arrays = digit_arrays(("train", "val", "test"))
    assert tuple(len(arrays[f"{split}_labels"]) for split in ("train", "val", "test")) == DIGITS.rows
    assert [int(arrays[f"{split}_labels"].sum()) for split in ("train", "val", "test")] == [122, 17, 35]


def test_development_code_does_not_get_the_test_set_of_digits() -> None:
    assert sorted(digit_arrays(("train", "val"))) == ["train_images", "train_labels", "val_images", "val_labels"]


def test_hard_digits_have_the_rows_of_the_catalogue_and_one_in_eleven_positive() -> None:
    arrays = hard_arrays(("train", "val", "test"))
    assert tuple(len(arrays[f"{split}_labels"]) for split in ("train", "val", "test")) == HARD.rows
    assert [int(arrays[f"{split}_labels"].sum()) for split in ("train", "val", "test")] == [6, 3, 35]


def test_hard_digits_have_a_checksum_that_stays_the_same() -> None:
    development = load_development(HARD, Path("/nowhere"))
    assert development.images.shape == (99, 8, 8)
    assert development.md5 == "1159616ce4c1e6ed3a0aeb67e4711776"


def test_no_task_of_digits_trains_on_what_the_other_tests_on() -> None:
    def images(arrays: dict[str, np.ndarray], split: str) -> set[bytes]:
        return {image.tobytes() for image in arrays[f"{split}_images"]}

    splits = ("train", "val", "test")
    easy, hard = digit_arrays(splits), hard_arrays(splits)
    for split in splits:
        assert images(hard, split) <= images(easy, split)
    assert sorted(hard_arrays(("train", "val"))) == ["train_images", "train_labels", "val_images", "val_labels"]


@pytest.mark.realdata
def test_real_breast_rows_are_those_of_the_paper(data_dir: Path) -> None:
    development = load_development(find_dataset("breast"), data_dir)
    assert development.images.shape == (624, 28, 28)
    assert int(development.labels[~development.is_validation].sum()) == 399
    assert int(development.labels[development.is_validation].sum()) == 57


@pytest.mark.realdata
def test_real_adrenal_volumes_are_masks(data_dir: Path) -> None:
    development = load_development(find_dataset("adrenal3d"), data_dir)
    assert development.images.shape == (1286, 28, 28, 28)
    assert np.unique(development.images).tolist() == [0, 255]
