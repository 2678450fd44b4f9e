"""Near-duplicates: which pairs are found, and that every machine finds the same."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.data import duplicates
from hpo.data.development import load_development
from hpo.data.duplicates import _shrunk, have_near_duplicates, near_duplicates
from hpo.data.files import _load
from hpo.study.catalogue import find_dataset


def alike(count: int = 40, shape: tuple[int, ...] = (8, 8), seed: int = 0) -> NDArray[np.uint8]:
    """Images of which many are one of a few pictures with some noise."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (6, *shape))
    noise = random.normal(0, 1, (count, *shape)) * random.uniform(5, 60, (count, *[1] * len(shape)))
    return np.clip(pictures[random.integers(6, size=count)] + noise, 0, 255).astype(np.uint8)


def by_definition(images: NDArray[np.uint8], threshold: float) -> set[tuple[int, int]]:
    """Pairs by exact arithmetic: r >= t where covariance >= 0 and covariance^2 >= t^2 variance variance."""
    flat = [[int(value) for value in image.ravel()] for image in images]
    found = set()
    for first, second in combinations(range(len(flat)), 2):
        x, y = flat[first], flat[second]
        n = len(x)
        covariance = n * sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y)
        spread = [n * sum(a * a for a in one) - sum(one) ** 2 for one in (x, y)]
        if covariance > 0 and covariance**2 >= Fraction(threshold) ** 2 * spread[0] * spread[1]:
            found.add((first, second))
    return found


def pairs_of(images: NDArray[np.uint8], threshold: float) -> set[tuple[int, int]]:
    found = near_duplicates(images, threshold)
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


@pytest.mark.parametrize("shape", [(8, 8), (5, 5, 5)])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.95])
def test_the_pairs_are_those_of_exact_arithmetic(shape: tuple[int, ...], threshold: float) -> None:
    images = alike(shape=shape)
    wanted = by_definition(images, threshold)
    assert wanted
    assert pairs_of(images, threshold) == wanted


def test_correlations_are_those_of_numpy() -> None:
    images = alike()
    found = near_duplicates(images, 0.5)
    wanted = np.asarray(np.corrcoef(images.reshape(len(images), -1)))[found.first, found.second]
    np.testing.assert_allclose(found.correlation, wanted, rtol=1e-12)


def test_the_size_of_blocks_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    images = alike(count=101)
    whole = near_duplicates(images, 0.8)
    monkeypatch.setattr(duplicates, "_MOST_BLOCK_ROWS", 7)
    parts = near_duplicates(images, 0.8)
    for name in ("first", "second", "correlation", "is_exact"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_the_order_of_the_images_changes_no_correlation() -> None:
    images = alike()
    there = near_duplicates(images, 0.8).ordered()
    last = len(images) - 1
    turned = near_duplicates(images[::-1], 0.8).ordered()
    order = np.lexsort((last - turned.first, last - turned.second, -turned.correlation))
    np.testing.assert_array_equal(last - turned.second[order], there.first)
    np.testing.assert_array_equal(turned.correlation[order], there.correlation)


def test_equal_images_are_exact_and_brighter_ones_are_not() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    found = near_duplicates(np.stack([image, image, image + 9, 2 * image]), 1.0 - 1e-12)
    assert len(found) == 6
    assert [found.above(1.0).first.tolist(), found.above(1.0).second.tolist()] == [[0], [1]]


def test_constant_images_are_near_duplicates_of_equal_ones_only() -> None:
    images = np.stack([np.full((8, 8), value, np.uint8) for value in (0, 255, 7, 0, 7, 0)] + [*alike(3)])
    found = near_duplicates(images, 0.999)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == {(0, 3), (3, 5), (2, 4)}
    assert found.is_exact.all()


def test_where_there_are_too_many_pairs_the_threshold_rises() -> None:
    images = alike(count=80)
    some, most = near_duplicates(images, 0.9), 50
    assert len(some) > most
    fewer = near_duplicates(images, 0.9, most_pairs=most)
    assert 0 < len(fewer) <= most
    assert fewer.threshold > 0.9
    np.testing.assert_array_equal(fewer.correlation, some.above(fewer.threshold).correlation)


def test_twins_in_another_set_are_those_of_the_pairs() -> None:
    images = np.concatenate([alike(30), np.zeros((1, 8, 8), np.uint8)])
    others = np.concatenate([alike(20, seed=1), images[:3], np.zeros((2, 8, 8), np.uint8)])
    joint = near_duplicates(np.concatenate([images, others]), 0.9)
    across = (joint.first < len(images)) & (joint.second >= len(images))
    has = have_near_duplicates(images, others, 0.9)
    assert set(np.flatnonzero(has)) == set(joint.first[across])
    assert has[[0, 1, 2, 30]].all()


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    near_duplicates(alike(), 0.9, shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


@pytest.mark.realdata
def test_real_breast_pairs_are_those_that_were_counted_independently(data_dir: Path) -> None:
    # By numpy's corrcoef over the matrix of all pairs: train and validation samples, 106 + 43 pairs.
    found = near_duplicates(load_development(find_dataset("breast"), data_dir, "none").images)
    assert [len(found.above(level)) for level in (0.95, 0.99, 0.999)] == [149, 98, 14]
    assert np.unique(np.concatenate([found.first, found.second])).size == 218


@pytest.mark.realdata
def test_63_of_156_real_breast_test_samples_have_a_near_duplicate_in_development(data_dir: Path) -> None:
    dataset = find_dataset("breast")
    test = _load(dataset, data_dir, ("test",))["test_images"]
    development = load_development(dataset, data_dir, "none").images
    assert have_near_duplicates(test, development).sum() == 63
    assert have_near_duplicates(test, development, 0.99).sum() == 42


@pytest.mark.slow
@pytest.mark.realdata
def test_real_adrenal_masks_have_no_near_duplicates(data_dir: Path) -> None:
    assert len(near_duplicates(load_development(find_dataset("adrenal3d"), data_dir, "none").images)) == 0


def test_large_images_are_compared_as_if_they_were_small_ones() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(_shrunk(large), small)
    large[5] = large[0]
    large[5, 0, 0] ^= 1
    pairs = near_duplicates(large)
    assert [*pairs.first, *pairs.second] == [0, 5]
    assert not pairs.is_exact[0]


def test_an_edge_that_is_no_multiple_is_shrunk_by_means_over_areas() -> None:
    images = np.arange(64, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    shrunk = _shrunk(images)
    assert shrunk.shape == (1, 28, 3)
    # 64 / 28 = 2.29: the first area has rows 0 and 1, whose mean .5 is rounded up; the last one rows 61 to 63.
    assert shrunk[0, 0, 0] == 1
    assert shrunk[0, -1, 0] == 62
