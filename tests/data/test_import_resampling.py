"""Pictures become squares and cubes of one size: averages when shrunk, black where padded."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from PIL import Image

from hpo.data.importing.reading import Picture
from hpo.data.importing.resampling import as_bytes, longest_edge, resampled

RANDOM = np.random.default_rng(5)


def image(*shape: int) -> Picture:
    return Picture(RANDOM.integers(0, 256, shape, dtype=np.uint8), 2, (1.0, 1.0))


def test_shrinking_averages_areas() -> None:
    picture = image(12, 12)
    expected = picture.pixels.reshape(4, 3, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resampled(picture, 4, "pad"), expected)


@pytest.mark.parametrize(("edge", "size"), [(100, 28), (45, 28), (57, 11)])
def test_shrinking_by_fractions_is_pillows_box_filter(edge: int, size: int) -> None:
    smooth = np.add.outer(np.arange(edge), np.arange(edge)).astype(np.float32)
    ours = resampled(Picture(smooth, 2, (1.0, 1.0)), size, "pad")
    # Pillow weighs a pixel that lies in part outside as a whole one or not at all; ours by its share.
    theirs = np.array(Image.fromarray(smooth).resize((size, size), Image.Resampling.BOX))
    assert np.abs(ours - theirs).max() < edge / size
    assert ours.mean() == pytest.approx(smooth.mean())


def test_a_picture_of_the_right_size_stays_exactly_as_it_is() -> None:
    picture = image(28, 28)
    np.testing.assert_array_equal(as_bytes(resampled(picture, 28, "pad")), picture.pixels)
    narrow = image(28, 27)
    np.testing.assert_array_equal(as_bytes(resampled(narrow, 28, "pad"))[:, 1:], narrow.pixels)


def test_padding_centres_and_is_black() -> None:
    picture = image(8, 4)
    square = resampled(picture, 8, "pad")
    assert np.isnan(square[:, :2]).all()
    assert np.isnan(square[:, 6:]).all()
    np.testing.assert_array_equal(as_bytes(square)[:, 2:6], picture.pixels)
    assert as_bytes(square)[:, :2].max() == 0


def test_cropping_takes_the_middle() -> None:
    picture = image(4, 8)
    np.testing.assert_array_equal(as_bytes(resampled(picture, 4, "crop")), picture.pixels[:, 2:6])


def test_stretching_takes_all() -> None:
    picture = image(4, 8)
    expected = picture.pixels.reshape(4, 4, 2).mean(axis=2)
    np.testing.assert_allclose(resampled(picture, 4, "stretch"), expected)


def test_enlarging_interpolates() -> None:
    picture = Picture(np.array([[0, 100], [0, 100]], dtype=np.uint8), 2, (1.0, 1.0))
    large = resampled(picture, 4, "pad")
    np.testing.assert_allclose(large, np.tile([0.0, 25.0, 75.0, 100.0], (4, 1)))


def test_colours_are_resampled_each() -> None:
    picture = image(6, 6, 3)
    found = resampled(picture, 3, "pad")
    assert found.shape == (3, 3, 3)
    np.testing.assert_allclose(found[..., 1], picture.pixels[..., 1].reshape(3, 2, 3, 2).mean(axis=(1, 3)))


def test_volumes_are_scaled_alike_in_millimetres() -> None:
    """Four thick slices of 16 x 16 thin pixels are a cube of 16 mm, of which a slice fills four voxels."""
    slices = np.repeat(np.arange(4, dtype=np.uint8)[:, None, None] * 80, 16, axis=1).repeat(16, axis=2)
    thick = Picture(slices, 3, (4.0, 1.0, 1.0))
    assert longest_edge(thick, "pad") == 16
    cube = resampled(thick, 4, "pad")
    np.testing.assert_allclose(cube, slices[:, :4, :4])
    thin = resampled(Picture(slices, 3, (1.0, 1.0, 1.0)), 16, "pad")
    assert np.isnan(thin[:6]).all()
    assert not np.isnan(thin[6:10]).any()


@pytest.mark.parametrize("slices", [1, 10])
def test_of_thin_volumes_a_slice_is_left(slices: int) -> None:
    found = resampled(Picture(np.full((slices, 512, 512), 200, dtype=np.uint8), 3, (1.0, 1.0, 1.0)), 28, "pad")
    is_there = np.isfinite(found).all(axis=(1, 2))
    assert 1 <= is_there.sum() <= 2
    np.testing.assert_allclose(found[is_there], 200)


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_spacings_that_differ_by_rounding_move_nothing(fit: Literal["pad", "crop"]) -> None:
    small = np.float32(0.7)
    spacing = (float(small), float(np.nextafter(small, np.float32(1))), float(small))
    picture = Picture(RANDOM.integers(0, 256, (28, 28, 28), dtype=np.uint8), 3, spacing)
    assert longest_edge(picture, fit) == 28
    np.testing.assert_array_equal(resampled(picture, 28, fit), picture.pixels)


def test_rounding_is_to_the_nearest_and_halves_go_up() -> None:
    values = np.array([0.5, 1.5, 2.4999, -3.0, 300.0, np.nan, 0.5 - 1e-9])
    assert as_bytes(values).tolist() == [1, 2, 2, 0, 255, 0, 1]
