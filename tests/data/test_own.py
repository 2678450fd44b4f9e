"""A data file of a user's own is a dataset, or is refused with what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.development import load_development
from hpo.data.files import _load, file_state, md5, verify
from hpo.data.folds import scoring_folds
from hpo.data.groups import has_groups
from hpo.data.own import read_own
from hpo.errors import DataError, UsageError
from hpo.study.catalogue import find_dataset, is_dataset, own_dataset
from hpo.study.spec import Scoring
from tests.mention import unmentioned
from tests.own_files import own_file


def test_a_file_is_a_dataset_with_its_own_shapes(tmp_path: Path) -> None:
    dataset = find_dataset(str(own_file(tmp_path / "mine.npz")))
    assert (dataset.dimensions, dataset.size, dataset.channels, dataset.labels) == (2, 6, 1, 1)
    assert dataset.rows == (20, 8, 8)
    assert dataset.study_name == dataset.official_name == "mine"
    assert dataset.has_test
    assert dataset.has_validation
    assert not dataset.is_mask
    assert is_dataset("anything.npz")


@pytest.mark.parametrize(
    ("shape", "dimensions", "channels"), [((6, 6), 2, 1), ((6, 6, 3), 2, 3), ((6, 6, 6), 3, 1), ((3, 3, 3), 3, 1)]
)
def test_images_are_grey_rgb_or_volumes(shape: tuple[int, ...], dimensions: int, channels: int, tmp_path: Path) -> None:
    dataset = find_dataset(str(own_file(tmp_path / "mine.npz", shape=shape)))
    assert (dataset.dimensions, dataset.channels, dataset.image_shape) == (dimensions, channels, shape)
    development = load_development(dataset, tmp_path)
    assert development.images.shape == (28, *shape)


def test_the_development_set_is_train_and_val(tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz")
    development = load_development(find_dataset(str(path)), tmp_path)
    with np.load(path) as arrays:
        assert np.array_equal(development.images, np.concatenate([arrays["train_images"], arrays["val_images"]]))
        assert np.array_equal(development.labels, np.concatenate([arrays["train_labels"], arrays["val_labels"]]))
    assert development.is_validation.sum() == 8


def test_without_val_all_of_train_is_the_development_set(tmp_path: Path) -> None:
    dataset = find_dataset(str(own_file(tmp_path / "mine.npz", rows=(30, 0, 0))))
    development = load_development(dataset, tmp_path)
    assert len(development) == dataset.development_rows == 30
    assert not dataset.has_validation
    assert not dataset.has_test
    assert not development.is_validation.any()
    assert len(scoring_folds(development, Scoring(folds=3), 0)) == 3
    verify(dataset, tmp_path)


def test_labels_may_have_one_axis_and_any_integer_type(tmp_path: Path) -> None:
    labels = {f"{split}_labels": np.arange(count) % 2 == 0 for split, count in (("train", 20), ("val", 8), ("test", 8))}
    development = load_development(find_dataset(str(own_file(tmp_path / "mine.npz", **labels))), tmp_path)
    assert development.labels.shape == (28, 1)
    assert development.labels.dtype == np.uint8
    assert development.labels[0, 0] == 1
    assert development.labels[1, 0] == 0


def test_groups_of_the_file_keep_samples_together(tmp_path: Path) -> None:
    groups = {f"{split}_groups": np.arange(count) // 2 for split, count in (("train", 20), ("val", 8), ("test", 8))}
    dataset = find_dataset(str(own_file(tmp_path / "mine.npz", **groups)))
    found = load_development(dataset, tmp_path).groups
    assert found is not None
    assert has_groups(found)
    # Patient 0 of train is patient 0 of val.
    assert found[0] == found[1] == found[20] == found[21]


def test_groups_without_val(tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz", rows=(30, 0, 8), train_groups=np.array([f"p{n // 3}" for n in range(30)]))
    found = load_development(find_dataset(str(path)), tmp_path).groups
    assert found is not None
    assert found[0] == found[2] != found[3]


def test_one_label_of_many_classes_is_trained_against_the_rest(tmp_path: Path) -> None:
    classes = {f"{split}_labels": np.arange(count)[:, None] % 4 for split, count in (("train", 20), ("val", 8))}
    path = own_file(tmp_path / "mine.npz", rows=(20, 8, 0), label_names=np.array(["a", "b", "c", "d"]), **classes)
    with pytest.raises(DataError, match=r"mine\.npz:b"):
        read_own(str(path))
    for label in ("2", "c"):
        dataset = find_dataset(f"{path}:{label}")
        development = load_development(dataset, tmp_path)
        assert dataset.own is not None
        assert dataset.own.label_names == ("c",)
        assert np.array_equal(development.labels[:20, 0], np.arange(20) % 4 == 2)
    with pytest.raises(UsageError) as error:
        read_own(f"{path}:7")
    assert unmentioned(error.value, 0, 1, 2, 3) == []


def test_one_of_several_labels(tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz", labels=3, label_names=np.array(["x", "y", "z"]))
    every, one = find_dataset(str(path)), find_dataset(f"{path}:y")
    assert (every.labels, one.labels) == (3, 1)
    assert np.array_equal(load_development(one, tmp_path).labels[:, 0], load_development(every, tmp_path).labels[:, 1])
    with pytest.raises(UsageError):
        read_own(f"{path}:3")
    with pytest.raises(UsageError) as error:
        read_own(f"{path}:zz")
    assert unmentioned(error.value, "zz", "z") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_images": None}, "has no train_images"),
        ({"val_labels": None}, "has no val_labels"),
        ({"train_images": np.zeros((20, 6, 6))}, "not uint8"),
        ({"train_images": np.zeros((20, 6, 8), np.uint8)}, "have shapes"),
        ({"train_images": np.zeros((19, 6, 6), np.uint8)}, "has shape"),
        ({"train_labels": np.zeros((20, 1), np.float32)}, "labels are integers"),
        ({"train_labels": np.arange(20)[:, None]}, "against the rest"),
        ({"test_labels": np.arange(8)[:, None]}, "against the rest"),
        ({"val_labels": np.zeros((8, 2), np.uint8)}, "labels; make them equal"),
        ({"train_labels": np.full((20, 1), -1)}, "write 1 where"),
        ({"train_labels": np.array([[None]] * 20)}, "labels are integers"),
        ({"train_images": np.array([None] * 20)}, r"np\.stack"),
        ({"train_labels": np.zeros((20, 1), np.uint8)}, "20 samples of train have the same labels"),
        ({"val_labels": np.ones((8, 1), np.uint8)}, "8 samples of val have the same labels"),
        ({"test_labels": np.zeros((8, 1), np.uint8)}, "8 samples of test have the same labels"),
        ({"train_groups": np.arange(20)}, "has no val_groups"),
        ({"train_groups": np.arange(19), "val_groups": np.arange(8)}, "train_groups has shape"),
    ],
)
def test_another_form_is_refused_with_what_to_do(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_own(str(own_file(tmp_path / "mine.npz", **changes)))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        *[((6, 8), "not a square"), ((6, 8, 3), "not a square"), ((6, 6, 8), "not a cube"), ((225, 225), "--size")],
        *[((6, 6, 1), r"images\[\.\.\., 0\]"), ((1, 6, 6), r"images\[:, 0\]")],
        *[((6, 6, 4), r"images\[\.\.\., :3\]"), ((3, 6, 6), r"images\.transpose\(0, 2, 3, 1\)")],
    ],
)
def test_images_of_another_shape_or_too_large_are_refused_with_what_to_do(
    shape: tuple[int, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        read_own(str(own_file(tmp_path / "mine.npz", rows=(2, 0, 0), shape=shape)))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("gone.npz", "text.npz"):
        with pytest.raises(DataError) as error:
            read_own(str(tmp_path / name))
        assert unmentioned(error.value, tmp_path / name) == []
    for name, fact in ((str(tmp_path), tmp_path), ("MINE.NPZ", ".npz")):
        with pytest.raises(UsageError) as wrong:
            find_dataset(name)
        assert unmentioned(wrong.value, fact) == []
    for name in ("", "x" * 5000):
        with pytest.raises(UsageError) as wrong:
            find_dataset(name)
        assert len(str(wrong.value)) < 1000


def test_one_label_of_several_may_have_one_class(tmp_path: Path) -> None:
    labels = np.stack([np.arange(20) % 2, np.zeros(20, int)], axis=1)
    path = own_file(tmp_path / "mine.npz", rows=(20, 0, 0), train_labels=labels)
    assert read_own(str(path)).columns == 2
    with pytest.raises(DataError):
        read_own(f"{path}:1")


def test_the_name_is_that_of_the_file_unless_it_has_one(tmp_path: Path) -> None:
    assert read_own(str(own_file(tmp_path / "my set (2).npz"))).name == "my-set-2"
    assert read_own(str(own_file(tmp_path / "a.npz", name=np.array("Skin lesions")))).name == "Skin-lesions"


def test_masks_are_recognised_by_their_pixels(tmp_path: Path) -> None:
    mask = (np.random.default_rng(0).random((20, 6, 6)) < 0.5).astype(np.uint8) * 255
    assert read_own(str(own_file(tmp_path / "mask.npz", rows=(20, 0, 0), train_images=mask))).is_mask


def test_test_sets_are_told_apart_and_recognised(tmp_path: Path) -> None:
    first = find_dataset(str(own_file(tmp_path / "mine.npz")))
    same = find_dataset(str(shutil.copy(tmp_path / "mine.npz", tmp_path / "copy.npz")))
    other = find_dataset(str(own_file(tmp_path / "mine.npz", seed=1)))
    assert first.test_set == same.test_set != other.test_set
    # More training images, the same test set.
    with np.load(tmp_path / "copy.npz") as arrays:
        stored = dict(arrays)
    stored |= {"train_images": stored["train_images"][:-2], "train_labels": stored["train_labels"][:-2]}
    np.savez(tmp_path / "less.npz", **stored)
    assert find_dataset(str(tmp_path / "less.npz")).test_set == first.test_set


def test_on_another_host_the_file_is_found_by_its_name_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    own = read_own(str(own_file(tmp_path / "mine.npz")))
    (tmp_path / "mine.npz").rename(tmp_path / "there" / "mine.npz")
    assert len(load_development(own_dataset(own), tmp_path / "there")) == 28
    with pytest.raises(DataError, match="--data-dir"):
        load_development(own_dataset(own), tmp_path)


def test_a_file_that_was_damaged_from_the_start_is_not_asked_for_again(tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz", rows=(20, 8, 400))
    with np.load(path) as arrays:
        stored = dict(arrays)
    np.savez(path, **stored)
    content = path.read_bytes()
    images = content.index(b"test_images.npy")
    path.write_bytes(content[: images + 200] + bytes([content[images + 200] ^ 1]) + content[images + 201 :])
    dataset = find_dataset(str(path))
    assert len(load_development(dataset, tmp_path)) == 28
    with pytest.raises(DataError) as error:
        _load(dataset, tmp_path, ("test",))
    assert unmentioned(error.value, "test_images") == []
    assert unmentioned(error.value, "--data-dir") == ["--data-dir"], "no other file would be right"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    own = read_own(str(own_file(tmp_path / "mine.npz")))
    own_file(tmp_path / "mine.npz", seed=1)
    with pytest.raises(DataError):
        load_development(own_dataset(own), tmp_path)
    assert file_state(own_dataset(own), tmp_path).state == "altered"


@pytest.mark.parametrize("seed", [1, None], ids=["another file", "a longer file"])
def test_a_changed_file_is_told_by_its_own_checksum_or_by_none(seed: int | None, tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz")
    own = read_own(str(path))
    path.write_bytes(path.read_bytes()[:-1] + b"x" if seed else path.read_bytes() + bytes(1000))
    with pytest.raises(DataError) as refused:
        load_development(own_dataset(own), tmp_path)
    told = set(re.findall("[0-9a-f]{32}", str(refused.value)))
    assert own.md5 in told
    assert told <= {own.md5, md5(path.read_bytes()).hexdigest()}
    assert unmentioned(refused.value, *([] if seed else [own.bytes])) == []


def test_the_one_name_of_one_column_is_that_of_its_positives(tmp_path: Path) -> None:
    path = own_file(tmp_path / "mine.npz", label_names=np.array(["malignant"]))
    every, named, rest = (find_dataset(f"{path}{label}") for label in ("", ":malignant", ":0"))
    labels = [load_development(one, tmp_path).labels for one in (every, named, rest)]
    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], 1 - labels[2])
    assert [one.own.label_names for one in (every, named, rest) if one.own] == [("malignant",), ("malignant",), ()]
