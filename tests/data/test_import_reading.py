"""Pictures of many kinds, as Pillow and nibabel read them, become grey, colours or volumes."""

from __future__ import annotations

import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from hpo.data.importing import pictures
from hpo.data.importing.pictures import Form, read_files
from hpo.data.importing.problems import Problems
from hpo.data.importing.reading import UnreadableError, find_file, read_picture

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOURS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_grey_images_are_read_as_they_are(ending: str, tmp_path: Path) -> None:
    picture = read_picture(saved(Image.fromarray(RAMP), tmp_path / f"a.{ending}"))
    np.testing.assert_array_equal(picture.pixels, RAMP)
    assert (picture.dimensions, picture.is_deep, picture.is_coloured) == (2, False, False)


def test_colours_have_three_channels_and_grey_colours_one(tmp_path: Path) -> None:
    coloured = read_picture(saved(Image.fromarray(COLOURS), tmp_path / "colour.png"))
    np.testing.assert_array_equal(coloured.pixels, COLOURS)
    assert coloured.is_coloured
    grey = read_picture(saved(Image.fromarray(np.stack([RAMP] * 3, axis=-1)), tmp_path / "grey.png"))
    np.testing.assert_array_equal(grey.pixels, RAMP)


def test_a_grey_jpeg_has_one_channel(tmp_path: Path) -> None:
    picture = read_picture(saved(Image.fromarray(RAMP), tmp_path / "a.jpg", quality=95))
    assert picture.pixels.shape == RAMP.shape
    assert np.abs(picture.pixels.astype(int) - RAMP).max() < 20


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_kept(ending: str, tmp_path: Path) -> None:
    deep = RAMP.astype(np.uint16) * 257
    picture = read_picture(saved(Image.fromarray(deep), tmp_path / f"a.{ending}"))
    assert picture.is_deep
    np.testing.assert_array_equal(picture.pixels, deep)


@pytest.mark.parametrize("values", [RAMP.astype(np.uint16) * 257, RAMP, RAMP > 100], ids=["16", "8", "1"])
@pytest.mark.parametrize("pages", [1, 2])
def test_a_tiff_whose_zero_is_white_is_read_as_it_looks(values: NDArray[Any], pages: int, tmp_path: Path) -> None:
    # Pillow inverts up to 8 bits as it saves them, and as it reads them.
    written = Image.fromarray(65535 - values if values.dtype == np.uint16 else values)
    more = {"save_all": True, "append_images": [written]} if pages > 1 else {}
    picture = read_picture(saved(written, tmp_path / "a.tif", tiffinfo={262: 0}, **more))
    looks = values * np.uint8(255) if values.dtype == np.bool_ else values
    np.testing.assert_array_equal(picture.pixels, np.stack([looks] * pages) if pages > 1 else looks)


def test_a_tiff_of_real_numbers_whose_zero_is_white_is_refused(tmp_path: Path) -> None:
    path = saved(Image.fromarray(RAMP.astype(np.float32)), tmp_path / "a.tif")
    content = path.read_bytes()
    black, white = (struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0))
    assert content.count(black) == 1
    path.write_bytes(content.replace(black, white))
    with pytest.raises(UnreadableError, match="white"):
        read_picture(path)


def test_palettes_bits_and_transparency_become_pixels(tmp_path: Path) -> None:
    mask = Image.fromarray(RAMP > 100)
    np.testing.assert_array_equal(read_picture(saved(mask, tmp_path / "1.png")).pixels, np.uint8(255) * (RAMP > 100))
    few = Image.fromarray(COLOURS).quantize(200)
    np.testing.assert_array_equal(read_picture(saved(few, tmp_path / "p.png")).pixels, np.array(few.convert("RGB")))
    alpha = np.dstack([COLOURS, np.where(RAMP > 100, 255, 0)]).astype(np.uint8)
    blended = read_picture(saved(Image.fromarray(alpha), tmp_path / "a.png")).pixels
    np.testing.assert_array_equal(blended, COLOURS * (RAMP > 100)[..., None])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_photograph_is_turned_as_its_camera_was(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(saved(Image.fromarray(RAMP), tmp_path / name, exif=exif))
    np.testing.assert_array_equal(picture.pixels, np.rot90(RAMP, -1))


def test_the_pages_of_a_tiff_are_a_volume(tmp_path: Path) -> None:
    pages = [Image.fromarray(RAMP + offset) for offset in range(3)]
    path = saved(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    picture = read_picture(path)
    assert picture.dimensions == 3
    np.testing.assert_array_equal(picture.pixels, np.stack([RAMP, RAMP + 1, RAMP + 2]))


def test_pages_of_different_size_or_in_colour_are_refused(tmp_path: Path) -> None:
    for number, others in enumerate(([Image.fromarray(RAMP[:3])], [Image.fromarray(COLOURS)])):
        first = Image.fromarray(RAMP if number == 0 else COLOURS)
        path = saved(first, tmp_path / f"{number}.tif", save_all=True, append_images=others)
        with pytest.raises(UnreadableError, match="pages"):
            read_picture(path)


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    whole = saved(Image.fromarray(RAMP), tmp_path / "whole.png").read_bytes()
    for name, content in (
        ("text.png", b"file,label"),
        ("cut.png", whole[: len(whole) // 2]),
        ("empty.png", b""),
        ("scan.dcm", bytes(128) + b"DICM"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableError, match=r"\w{4}"):
            read_picture(tmp_path / name)


def test_a_name_without_an_ending_is_found_with_one(tmp_path: Path) -> None:
    saved(Image.fromarray(RAMP), tmp_path / "ISIC_01.jpg")
    assert find_file(tmp_path, "ISIC_01") == find_file(tmp_path, "ISIC_01.jpg") == tmp_path / "ISIC_01.jpg"
    assert find_file(tmp_path, "ISIC_01.png") is None
    assert find_file(tmp_path, "ISIC_02") is None
    saved(Image.fromarray(RAMP), tmp_path / "ISIC_03.JPG")
    assert find_file(tmp_path, "ISIC_03") == tmp_path / "ISIC_03.JPG"


class TestNifti:
    """Volumes of nibabel, an optional extra."""

    VALUES = np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 30

    @pytest.fixture
    def nibabel(self) -> Any:
        return pytest.importorskip("nibabel")

    def test_axes_go_up_back_and_left(self, nibabel: Any, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(self.VALUES, np.diag([2.0, 3.0, 4.0, 1.0]))
        nibabel.save(image, tmp_path / "a.nii.gz")
        picture = read_picture(tmp_path / "a.nii.gz")
        np.testing.assert_array_equal(picture.pixels, self.VALUES[::-1, ::-1, :].transpose(2, 1, 0))
        assert picture.spacing == (4.0, 3.0, 2.0)
        assert picture.is_deep

    def test_the_same_body_stored_along_other_axes_is_the_same(self, nibabel: Any, tmp_path: Path) -> None:
        straight = nibabel.Nifti1Image(self.VALUES, np.diag([2.0, 3.0, 4.0, 1.0]))
        turned = straight.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
        for name, image in (("a.nii", straight), ("b.nii", turned)):
            nibabel.save(image, tmp_path / name)
        first, second = (read_picture(tmp_path / name) for name in ("a.nii", "b.nii"))
        np.testing.assert_array_equal(first.pixels, second.pixels)
        assert first.spacing == second.spacing

    def test_slope_and_intercept_are_applied_and_single_slices_are_images(self, nibabel: Any, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(self.VALUES[:, :, :1, None], np.eye(4))
        image.header.set_slope_inter(2.0, -1024.0)
        nibabel.save(image, tmp_path / "a.nii")
        picture = read_picture(tmp_path / "a.nii")
        assert picture.dimensions == 2
        np.testing.assert_allclose(picture.pixels, nibabel.load(tmp_path / "a.nii").get_fdata()[::-1, ::-1, 0, 0].T)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_single_slice_is_an_image_whichever_way_it_was_cut(self, axis: int, nibabel: Any, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(self.VALUES.take([0], axis=axis), np.diag([2.0, 3.0, 4.0, 1.0]))
        nibabel.save(image, tmp_path / "a.nii")
        picture = read_picture(tmp_path / "a.nii")
        assert picture.dimensions == picture.pixels.ndim == 2
        assert picture.spacing == ((4.0, 3.0), (4.0, 2.0), (3.0, 2.0))[axis]

    def test_sequences_and_damaged_files_are_refused(self, nibabel: Any, tmp_path: Path) -> None:
        nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.uint8), np.eye(4)), tmp_path / "four.nii")
        nibabel.save(nibabel.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4)), tmp_path / "nan.nii")
        nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.complex64), np.eye(4)), tmp_path / "complex.nii")
        (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08")
        for name in ("four.nii", "nan.nii", "complex.nii", "cut.nii.gz"):
            with pytest.raises(UnreadableError):
                read_picture(tmp_path / name)


@pytest.mark.parametrize(("free", "at_once"), [(2**40, 8), (6 * 2**20, 3), (2**20, 1)])
def test_as_many_pictures_are_read_at_once_as_fit_in_half_of_the_free_memory(
    free: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of 256 x 256 values takes 1 MiB while it is read."""
    threads: list[int] = []

    class Recorded(ThreadPoolExecutor):
        def __init__(self, most: int) -> None:
            threads.append(most)
            super().__init__(most)

    monkeypatch.setattr(pictures, "ThreadPoolExecutor", Recorded)
    monkeypatch.setattr(pictures, "affinity_cores", lambda: 64)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    values = [np.full((256, 256), 10 * number, np.uint8) for number in range(4)]
    files = [
        (f"{number}", saved(Image.fromarray(one), tmp_path / f"{number}.png")) for number, one in enumerate(values)
    ]
    found = read_files(files, Form(size=4), Problems(), lambda _: None)
    assert found is not None
    assert found[0][:, 0, 0].tolist() == [0, 10, 20, 30]
    assert threads == [at_once]


def test_without_nibabel_a_volume_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    (tmp_path / "a.nii.gz").write_bytes(b"")
    with pytest.raises(UnreadableError, match="pip install nibabel"):
        read_picture(tmp_path / "a.nii.gz")
