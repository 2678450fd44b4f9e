"""Datasets whose arrays come from functions of a user's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.development import load_development
from hpo.data.download import fetch
from hpo.data.files import file_state, verify
from hpo.errors import DataError, UsageError
from hpo.outcome.unseal import open_test_set
from hpo.study.catalogue import Dataset, find_dataset, register_dataset
from hpo.study.files import check_spec, default_spec
from tests.arrays import made_arrays
from tests.data.test_sealed import ListLedger
from tests.plugins import kept_registries

FORM = Dataset(name="blobs", dimensions=2, labels=1, rows=(24, 10, 12), size=8, development="tests.data:nothing")


class Loaders:
    """Two functions, and which of them have been called with which folder."""

    def __init__(self, **changed: Any) -> None:
        self.calls: list[tuple[str, Path]] = []
        self._arrays = {**made_arrays(FORM, FORM.rows), **changed}

    def development(self, folder: Path) -> dict[str, Any]:
        self.calls.append(("development", folder))
        return {name: array for name, array in self._arrays.items() if array is not None and "test" not in name}

    def test(self, folder: Path) -> dict[str, Any]:
        self.calls.append(("test", folder))
        return {name: array for name, array in self._arrays.items() if array is not None and "test" in name}


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with kept_registries():
        yield


def registered(loaders: Loaders, **form: Any) -> Dataset:
    dataset = dataclasses.replace(FORM, development=loaders.development, **form)
    register_dataset(dataset, test=loaders.test)
    return dataset


def test_the_development_set_comes_from_its_function_and_the_other_is_not_called(tmp_path: Path) -> None:
    loaders = Loaders()
    dataset = registered(loaders)
    development = load_development(dataset, tmp_path)
    assert loaders.calls == [("development", tmp_path)]
    assert (len(development), int(development.is_validation.sum())) == (34, 10)
    np.testing.assert_array_equal(development.images[:24], made_arrays(FORM, FORM.rows)["train_images"])
    assert len(development.md5) == 32
    assert load_development(dataset, tmp_path).md5 == development.md5


def test_the_test_set_comes_from_its_function_after_the_opening_was_written(tmp_path: Path) -> None:
    loaders = Loaders()
    ledger = ListLedger()
    opened = open_test_set(ledger, "study", {}, "abc", registered(loaders), tmp_path)
    assert loaders.calls == [("test", tmp_path)]
    assert len(ledger.rows) == 1
    np.testing.assert_array_equal(opened.images, made_arrays(FORM, FORM.rows)["test_images"])


def test_a_ledger_that_refuses_leaves_the_function_for_test_arrays_uncalled(tmp_path: Path) -> None:
    loaders = Loaders()
    dataset, ledger = registered(loaders), ListLedger()
    ledger.write("other", {}, "abc", "")
    with pytest.raises(UsageError):
        open_test_set(ledger, "study", {}, "abc", dataset, tmp_path)
    assert loaders.calls == []


def test_the_function_for_test_arrays_is_no_part_of_the_dataset(tmp_path: Path) -> None:
    loaders = Loaders()
    dataset = registered(loaders)
    assert loaders.test not in vars(dataset).values()


@pytest.mark.parametrize(
    "changed",
    [
        {"val_labels": None},
        {"train_images": np.zeros((24, 9, 8), np.uint8)},
        {"train_images": np.zeros((23, 8, 8), np.uint8)},
        {"train_images": np.zeros((24, 8, 8), np.float32)},
        {"train_labels": np.zeros(24, np.uint8)},
        {"train_labels": np.full((24, 1), 2, np.uint8)},
    ],
    ids=["missing", "edge", "count", "floats", "flat labels", "other labels"],
)
def test_arrays_of_another_form_than_is_registered_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    dataset = registered(Loaders(**changed))
    with pytest.raises(DataError) as caught:
        load_development(dataset, tmp_path)
    assert "blobs" in str(caught.value)
    assert next(iter(changed)) in str(caught.value)


def test_groups_that_the_functions_return_are_kept_together(tmp_path: Path) -> None:
    patients = np.array([*"abcdefghijklmnopqrstuvwx", *"ABCDEFGHIa"])
    loaders = Loaders(train_groups=patients[:24], val_groups=patients[24:], test_groups=np.arange(12))
    dataset = registered(loaders)
    development = load_development(dataset, tmp_path)
    assert development.groups is not None
    assert development.groups.tolist() == [*range(33), 0]
    assert open_test_set(ListLedger(), "study", {}, "abc", dataset, tmp_path).groups.tolist() == list(range(12))


@pytest.mark.parametrize(
    "changed",
    [
        {"train_groups": np.arange(24)},
        {"train_groups": np.arange(24), "val_groups": np.arange(9)},
        {"train_groups": np.arange(24)[:, None], "val_groups": np.arange(10)},
        {"train_groups": np.arange(24), "val_groups": np.arange(10.0)},
        {"train_groups": np.array([None] * 24), "val_groups": np.arange(10)},
    ],
    ids=["one of two", "count", "shape", "floats", "objects"],
)
def test_groups_of_another_form_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    dataset = registered(Loaders(**changed))
    with pytest.raises(DataError, match=r"blobs.*_groups"):
        load_development(dataset, tmp_path)


def test_a_function_that_raises_is_an_error_of_the_data(tmp_path: Path) -> None:
    def broken(folder: Path) -> dict[str, Any]:
        raise FileNotFoundError(folder / "blobs.h5")

    register_dataset(dataclasses.replace(FORM, development=broken), test=broken)
    with pytest.raises(DataError, match=r"blobs.h5") as caught:
        load_development(find_dataset("blobs"), tmp_path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_dataset_without_a_file_needs_no_fetching_and_no_check(tmp_path: Path) -> None:
    loaders = Loaders()
    dataset = registered(loaders)
    verify(dataset, tmp_path)
    assert fetch(dataset, tmp_path) == tmp_path
    assert (file_state(dataset, tmp_path).state, file_state(dataset, tmp_path).path) == ("built in", None)
    assert loaders.calls == []


@pytest.mark.parametrize(
    "form", [{"md5": "0" * 32}, {"development": None}, {"rows": (3, 0, 3)}, {"labels": 0}, {"dimensions": 4}]
)
def test_a_dataset_that_says_too_much_or_too_little_cannot_be_made(form: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="blobs"):
        dataclasses.replace(FORM, **form)


def test_functions_for_development_and_test_arrays_go_together() -> None:
    with pytest.raises(ValueError, match="blobs"):
        register_dataset(FORM)


def test_a_registered_dataset_is_found_and_named_in_study_files() -> None:
    dataset = registered(Loaders(), official_name="BlobMNIST")
    assert find_dataset("blobmnist") is find_dataset("Blobs") is dataset
    assert check_spec({"dataset": "blobs"}, "a").data is dataset


@pytest.mark.parametrize(
    ("form", "similar"),
    [
        ({}, "breast"),
        ({"labels": 3}, "chest"),
        ({"dimensions": 3}, "nodule3d"),
        ({"dimensions": 3, "is_mask": True}, "adrenal3d"),
    ],
)
def test_a_dataset_without_a_study_file_is_searched_like_a_similar_one(form: dict[str, Any], similar: str) -> None:
    registered(Loaders(), **form)
    spec = default_spec("blobs", ("budget.epochs=3",))
    assert (spec.dataset, spec.budget.epochs) == ("blobs", 3)
    assert spec.space == default_spec(similar).space
