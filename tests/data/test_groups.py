"""Groups: components of pairs, groups of a file, both together, and what is stored of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.data import groups as room
from hpo.data.development import load_development
from hpo.data.duplicates import near_duplicates
from hpo.data.groups import connected, duplicate_groups, given_groups, group_pairs, has_groups, members
from hpo.study.catalogue import Dataset, find_dataset
from tests.arrays import FEW_ROWS, made_arrays, written
from tests.data.test_duplicates import alike

BREAST = find_dataset("breast")


def grouped(folder: Path, **changed: NDArray) -> Dataset:
    """A file of few samples, with these arrays in it."""
    dataset = Dataset(name="breast", official_name="breastmnist", dimensions=2, labels=1, rows=FEW_ROWS, md5="0" * 32)
    return written(dataset, folder, {**made_arrays(dataset), **changed})


def edges(*pairs: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = np.array(pairs, dtype=np.int64).T
    return first, second


def test_components_are_named_by_their_first_sample() -> None:
    assert connected(7, [edges((5, 3), (3, 1), (6, 2))]).tolist() == [0, 1, 2, 1, 4, 1, 2]


def test_a_long_chain_is_one_component_whatever_the_order_of_its_pairs() -> None:
    order = np.random.default_rng(0).permutation(999)
    assert not connected(1000, [(order, order + 1)]).any()


def test_random_graphs_have_the_components_of_a_search() -> None:
    random = np.random.default_rng(1)
    first, second = random.integers(200, size=(2, 150))
    names = connected(200, [(first, second)])
    for start in range(200):
        reached, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            beside = {*second[first == here].tolist(), *first[second == here].tolist()} - reached
            reached |= beside
            waiting += beside
        assert set(np.flatnonzero(names == names[start])) == reached


def test_pairs_that_chain_everything_together_are_taken_from_a_higher_threshold() -> None:
    random = np.random.default_rng(0)
    steps = np.cumsum(random.normal(0, 12, (120, 8, 8)), axis=0)
    chain = np.clip(128 + steps, 0, 255).astype(np.uint8)
    found = near_duplicates(chain, 0.9)
    assert np.bincount(connected(120, [(found.first, found.second)])).max() > 20
    groups, used = group_pairs(found, 120)
    assert used > 0.9
    assert np.bincount(groups).max() <= 20


def test_exact_duplicates_stay_together_however_many_they_are() -> None:
    images = np.concatenate([np.repeat(alike(1), 50, axis=0), alike(30, seed=3)])
    groups, used = group_pairs(near_duplicates(images, 0.95), 80)
    assert used == 1.0
    assert not groups[:50].any()


def test_groups_of_a_file_are_equal_ids_of_any_type_and_unknown_ones_stand_alone() -> None:
    wanted = [0, 1, 0, 3, 4, 1]
    assert given_groups(np.array([7, 9, 7]), np.array([-1, -1, 9])).tolist() == wanted
    assert given_groups(np.array(["a", "b", "a"]), np.array(["", "", "b"])).tolist() == wanted


def test_given_groups_are_not_chained_by_images_that_all_look_alike() -> None:
    """Sixty images that correlate by .96, of twelve patients: together they were one group that no fold can hold."""
    random = np.random.default_rng(0)
    images = 128 + 40 * random.normal(size=(1, 20, 20)) + 8 * random.normal(size=(60, 20, 20))
    patients = np.repeat(np.arange(12) * 5, 5)
    groups, threshold = duplicate_groups(images.clip(0, 255).astype(np.uint8), 0.95, "alike", patients)
    assert np.bincount(groups).max() <= 20
    assert (groups == groups[patients]).all(), "a patient is whole"
    assert threshold > 0.95


def test_members_come_largest_first_and_singles_do_not() -> None:
    assert [part.tolist() for part in members(np.array([0, 1, 0, 3, 1, 1]))] == [[1, 4, 5], [0, 2]]


def test_a_development_set_has_near_duplicates_and_groups_of_the_file_in_one(tmp_path: Path) -> None:
    arrays = made_arrays(Dataset(name="x", dimensions=2, labels=1, rows=FEW_ROWS, md5="0" * 32))
    images = np.concatenate([arrays["train_images"], arrays["val_images"]])
    images[24] = images[2] // 2
    patients = np.arange(34)
    patients[5] = patients[2]
    dataset = grouped(
        tmp_path,
        train_images=images[:24],
        val_images=images[24:],
        train_groups=patients[:24],
        val_groups=patients[24:],
    )
    development = load_development(dataset, tmp_path)
    assert development.groups is not None
    assert [part.tolist() for part in members(development.groups)] == [[2, 5, 24]]
    assert load_development(dataset, tmp_path, "none").groups is None


def test_a_development_set_without_near_duplicates_has_no_groups(tmp_path: Path) -> None:
    assert load_development(grouped(tmp_path), tmp_path).groups is None


def test_a_dataset_may_say_that_similar_images_are_no_duplicates(tmp_path: Path) -> None:
    assert load_development(find_dataset("digits"), tmp_path).groups is None


def test_stored_groups_are_read_where_they_are_right_and_made_again_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(room, "_WORTH_STORING", 0)
    images = alike(60)
    made = duplicate_groups(images, 0.95, "one")
    assert has_groups(made[0])
    (stored,) = (tmp_path / "hpo").iterdir()
    assert _same(duplicate_groups(np.zeros_like(images), 0.95, "one"), made)
    for others in (duplicate_groups(alike(60, seed=5), 0.95, "two"), duplicate_groups(images, 0.99, "one")):
        assert not _same(others, made)
    damaged = ({"groups": np.full(60, 59), "threshold": 0.95}, {"groups": made[0][:50], "threshold": 0.95}, {})
    for content in damaged:
        np.savez(stored, **content)
        assert _same(duplicate_groups(images, 0.95, "one"), made)
    stored.write_bytes(b"no archive")
    assert _same(duplicate_groups(images, 0.95, "one"), made)


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(room, "_WORTH_STORING", 0)
    images = alike(60)
    assert _same(duplicate_groups(images, 0.95, "one"), group_pairs(near_duplicates(images, 0.95), 60))


def _same(one: tuple[NDArray[np.int64], float], other: tuple[NDArray[np.int64], float]) -> bool:
    return np.array_equal(one[0], other[0]) and one[1] == other[1]


@pytest.mark.slow
@pytest.mark.realdata
def test_real_pneumonia_groups_are_stored_and_equal(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = (load_development(find_dataset("pneumonia"), data_dir).groups for _ in range(2))
    assert len(list((tmp_path / "hpo").iterdir())) == 1
    np.testing.assert_array_equal(first, second)
    assert np.unique(first).size == 5202
