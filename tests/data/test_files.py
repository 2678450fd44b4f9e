"""Files are checked before they are believed, and only the asked splits are decoded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.data.files import _load, file_state, load_arrays, verify
from hpo.errors import DataError
from hpo.study.catalogue import DATASETS, Dataset, find_dataset
from tests.arrays import FEW_ROWS, made_arrays, made_npz, written
from tests.mention import unmentioned

BREAST, CHEST, ADRENAL = find_dataset("breast"), find_dataset("chest"), find_dataset("adrenal3d")
OF_MEDMNIST = [dataset for dataset in DATASETS if dataset.md5 is not None]


def few(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, rows=FEW_ROWS)


@pytest.mark.parametrize("dataset", OF_MEDMNIST, ids=lambda dataset: dataset.name)
def test_a_good_file_of_each_dataset_is_verified_and_read(dataset: Dataset, tmp_path: Path) -> None:
    made = made_npz(dataset, tmp_path)
    verify(made, tmp_path)
    arrays = load_arrays(made, tmp_path, ("train", "val"))
    assert arrays["train_images"].shape == (FEW_ROWS[0], *dataset.image_shape)
    assert arrays["val_labels"].shape == (FEW_ROWS[1], dataset.labels)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["breast", "pneumonia", "adrenal3d"])
def test_the_real_file_is_verified(name: str, data_dir: Path) -> None:
    verify(find_dataset(name), data_dir)
    state = file_state(find_dataset(name), data_dir)
    assert (state.state, state.detail) == ("ok", "")


def test_only_asked_splits_are_decoded(tmp_path: Path) -> None:
    arrays = made_arrays(BREAST)
    path = tmp_path / BREAST.file_name
    made = written(few(BREAST), tmp_path, arrays)
    broken = bytearray(path.read_bytes())
    # The compressed bytes of the first member written after the train and val arrays.
    start = broken.index(b"test_images.npy") + 200
    broken[start : start + 50] = bytes(50)
    path.write_bytes(broken)
    made = dataclasses.replace(made, md5=hashlib.md5(broken).hexdigest())
    read = load_arrays(made, tmp_path, ("train", "val"))
    assert sorted(read) == ["train_images", "train_labels", "val_images", "val_labels"]
    np.testing.assert_array_equal(read["train_images"], arrays["train_images"])
    with pytest.raises(DataError):
        _load(made, tmp_path, ("test",))


def test_test_sets_are_not_to_be_had_from_the_file_itself(tmp_path: Path) -> None:
    made = made_npz(BREAST, tmp_path)
    with pytest.raises(ValueError, match=r"\btest\b"):
        load_arrays(made, tmp_path, ("train", "test"))


def test_only_the_sealed_module_reads_past_the_seal() -> None:
    root = Path(hpo.__file__).parent
    users = [str(path.relative_to(root)) for path in root.rglob("*.py") if re.search(r"\b_load\(", path.read_text())]
    assert sorted(users) == ["data/files.py", "data/sealed.py"]


def test_a_missing_file_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        verify(ADRENAL, tmp_path)
    facts = (tmp_path / "adrenalmnist3d.npz", "`hpo data fetch adrenal3d`", "--data-dir")
    assert unmentioned(refused.value, *facts) == []
    assert file_state(ADRENAL, tmp_path).state == "missing"
    assert file_state(ADRENAL, tmp_path).bytes is None


def test_a_missing_folder_is_reported_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        verify(BREAST, tmp_path / "nowhere")
    assert unmentioned(refused.value, tmp_path / "nowhere", "--data-dir") == []
    assert unmentioned(refused.value, BREAST.file_name) == [BREAST.file_name]


def test_a_file_given_as_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as refused:
        verify(BREAST, tmp_path / "file")
    assert unmentioned(refused.value, tmp_path / "file", "--data-dir") == []
    assert unmentioned(refused.value, BREAST.file_name) == [BREAST.file_name]


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / BREAST.file_name).mkdir()
    with pytest.raises(DataError) as refused:
        verify(BREAST, tmp_path)
    assert unmentioned(refused.value, tmp_path / BREAST.file_name) == []
    assert file_state(BREAST, tmp_path).state == "unreadable"


def test_a_truncated_file_is_refused_with_its_size(tmp_path: Path) -> None:
    made = made_npz(BREAST, tmp_path)
    path = tmp_path / made.file_name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError) as refused:
        load_arrays(made, tmp_path, ("train",))
    assert unmentioned(refused.value, path, "MD5", 1_000, made.md5, "`hpo data fetch breast`") == []
    state = file_state(made, tmp_path)
    assert (state.state, state.bytes, state.path) == ("altered", 1000, path)


def test_one_changed_byte_is_noticed_at_every_load(tmp_path: Path) -> None:
    made = made_npz(BREAST, tmp_path)
    load_arrays(made, tmp_path, ("train",))
    path = tmp_path / made.file_name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        load_arrays(made, tmp_path, ("train",))
    assert unmentioned(refused.value, path, "MD5", made.md5) == []


@pytest.fixture
def forbidden_file() -> Iterator[Path]:
    """A folder with a file that the test, which gives up root's rights, may not read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / BREAST.file_name).write_bytes(b"x")
        (folder / BREAST.file_name).chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)


def test_a_file_without_rights_to_read_is_reported_from_a_missing_one(forbidden_file: Path) -> None:
    state = file_state(BREAST, forbidden_file)
    assert state.state == "unreadable"
    assert unmentioned(state.detail, forbidden_file / BREAST.file_name, "--data-dir") == []


@pytest.mark.parametrize(
    ("member", "array", "facts"),
    [
        ("train_images", np.zeros((24, 28, 28), np.float32), ("float32", "uint8")),
        ("train_images", np.zeros((24, 28, 28, 3), np.uint8), ("(24, 28, 28, 3)", "(24, 28, 28)")),
        ("train_labels", np.zeros((24,), np.uint8), ("(24,)", "(24, 1)")),
        ("val_labels", np.zeros((9, 1), np.uint8), ("(9, 1)", "(10, 1)")),
        ("test_images", np.zeros((12, 64, 64), np.uint8), ("(12, 64, 64)", "(12, 28, 28)")),
        ("test_labels", np.zeros((12, 1), np.float64), ("float64", "uint8")),
        ("train_labels", np.array([None] * 24, object)[:, None], ("object", "uint8")),
    ],
)
def test_a_misshapen_array_is_named_with_what_it_should_be(
    member: str, array: np.ndarray, facts: tuple[str, str], tmp_path: Path
) -> None:
    made = written(few(BREAST), tmp_path, {**made_arrays(BREAST), member: array})
    with pytest.raises(DataError) as refused:
        verify(made, tmp_path)
    assert unmentioned(refused.value, tmp_path / made.file_name, member, *facts) == []


def test_chest_with_one_label_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((FEW_ROWS[0], 1), np.uint8)
    made = written(few(CHEST), tmp_path, {**made_arrays(CHEST), "train_labels": labels})
    with pytest.raises(DataError) as refused:
        verify(made, tmp_path)
    assert unmentioned(refused.value, "train_labels", "(24, 1)", "(24, 14)") == []


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    arrays = made_arrays(BREAST)
    del arrays["val_labels"]
    made = written(few(BREAST), tmp_path, arrays)
    with pytest.raises(DataError, match="val_labels"):
        load_arrays(made, tmp_path, ("train", "val"))


def test_labels_other_than_zero_and_one_are_refused(tmp_path: Path) -> None:
    arrays = made_arrays(BREAST)
    arrays["train_labels"] += 1
    made = written(few(BREAST), tmp_path, arrays)
    with pytest.raises(DataError, match=r"train_labels.*\b0\b.*\b1\b"):
        load_arrays(made, tmp_path, ("train",))


def test_labels_of_a_wider_integer_type_are_read_as_uint8(tmp_path: Path) -> None:
    arrays = made_arrays(BREAST)
    arrays["train_labels"] = arrays["train_labels"].astype(np.int64)
    made = written(few(BREAST), tmp_path, arrays)
    assert load_arrays(made, tmp_path, ("train",))["train_labels"].dtype == np.uint8


def test_groups_in_a_file_are_read_as_integers_or_text(tmp_path: Path) -> None:
    names = np.array([f"patient {number}" for number in range(10)])
    arrays = {**made_arrays(BREAST), "train_groups": np.arange(24), "val_groups": np.char.encode(names)}
    made = written(few(BREAST), tmp_path, arrays)
    verify(made, tmp_path)
    read = load_arrays(made, tmp_path, ("train", "val"))
    assert read["train_groups"].tolist() == list(range(24))
    assert read["val_groups"].tolist() == names.tolist()
    assert "test_groups" not in _load(made, tmp_path, ("test",))


@pytest.mark.parametrize(
    "groups",
    [
        {"val_groups": np.arange(10)},
        {"train_groups": np.arange(24), "val_groups": np.arange(11)},
        {"train_groups": np.arange(24.0), "val_groups": np.arange(10)},
        {"train_groups": np.arange(24).astype(object), "val_groups": np.arange(10)},
    ],
    ids=["one of two", "count", "floats", "objects"],
)
def test_groups_of_another_form_in_a_file_are_refused(tmp_path: Path, groups: dict) -> None:
    made = written(few(BREAST), tmp_path, {**made_arrays(BREAST), **groups})
    with pytest.raises(DataError, match="_groups"):
        verify(made, tmp_path)
    with pytest.raises(DataError, match="_groups"):
        load_arrays(made, tmp_path, ("train", "val"))


def test_what_is_no_archive_is_refused_even_with_the_right_checksum(tmp_path: Path) -> None:
    (tmp_path / BREAST.file_name).write_bytes(b"no zip")
    made = dataclasses.replace(BREAST, md5=hashlib.md5(b"no zip").hexdigest())
    with pytest.raises(DataError, match=r"\bnpz archive"):
        verify(made, tmp_path)
    assert file_state(made, tmp_path).state == "altered"


def test_digits_are_built_in_and_need_no_folder() -> None:
    state = file_state(find_dataset("digits"), Path("/nowhere"))
    assert (state.state, state.path, state.bytes) == ("built in", None, None)
    verify(find_dataset("digits"), Path("/nowhere"))
