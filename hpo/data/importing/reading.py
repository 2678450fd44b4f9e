"""Read one picture: PNG, JPEG, TIFF or BMP by Pillow, NIfTI by nibabel."""

from __future__ import annotations

import errno
import os
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, first_line
from hpo.text import installing

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".nii.gz", ".nii")
"""What file names may end with; a name without one of them is tried with each."""

NEEDS_NIBABEL = f"NIfTI files need nibabel: {installing('nifti')}"

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_GREY, _DEEP = ("1", "L"), ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
"""A tag of TIFF that says how values become grey, and its value for those of which 0 is white."""
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


class UnreadableError(ValueError):
    """A picture that cannot be read; the message says why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image or a volume as its file has it.

    Attributes:
        pixels: uint8, or float32 for more than 8 bits: (H, W), (H, W, 3) or (D, H, W).
        dimensions: 2 for an image, 3 for a volume.
        spacing: of pixels along each of these axes, in one unit (NIfTI: millimetres).
    """

    pixels: NDArray[Any]
    dimensions: int
    spacing: tuple[float, ...]

    @property
    def is_deep(self) -> bool:
        """Whether a pixel has more than 8 bits."""
        return self.pixels.dtype != np.uint8

    @property
    def is_coloured(self) -> bool:
        """Whether there are three channels."""
        return self.pixels.ndim > self.dimensions


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file of a name in a folder, with a known ending if the name has none; None if there is none."""
    return next(iter(files_named(folder, name)), None)


def files_named(folder: Path, name: str) -> list[Path]:
    """Return the file of a name in a folder, or all with a known ending if the name has none.

    Letters with accents are taken for the same whether they are one character, as most systems write them, or two, as
    macOS does.
    """
    names = dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))))
    whole = [folder / written for written in names if _is_file(folder / written)]
    if whole or name.lower().endswith(ENDINGS):
        return whole[:1]
    # Cameras and Windows write the ending in capitals.
    endings = [written for ending in ENDINGS for written in (ending, ending.upper())]
    found: dict[tuple[int, int], Path] = {}
    for path in (folder / f"{written}{ending}" for written in names for ending in endings):
        if _is_file(path):
            # By what they are: some file systems take small letters and capitals for the same.
            state = path.stat()
            found.setdefault((state.st_dev, state.st_ino), path)
    return list(found.values())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        # A text of another column, perhaps; what cannot be seen for another reason may be there.
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def files_below(folder: Path) -> list[Path]:
    """Return the files below a folder by name, also behind links to folders, but hidden ones.

    Raises:
        DataError: if a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None

    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not _leads_back(Path(parent, name))]
        found += [Path(parent) / name for name in names if not name.startswith(".")]
    return sorted(found)


def _leads_back(folder: Path) -> bool:
    """Return whether a folder is a link to one that it lies in, below which there is no end."""
    return folder.is_symlink() and folder.resolve() in map(Path.resolve, folder.absolute().parents)


def read_picture(path: Path) -> Picture:
    """Read one picture.

    Colours that are all grey become one channel. Palettes and transparency become colours, on black. Photographs are
    turned as their EXIF data say. A TIFF file of several pages is a volume of them. Volumes of NIfTI files become
    (inferior to superior, anterior to posterior, right to left), with slope and intercept applied.

    Raises:
        UnreadableError: with the reason, for whatever the file holds.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        read = _read_nifti
    elif path.suffix.lower() in (".dcm", ".dicom"):
        raise UnreadableError("DICOM is not read: convert it to NIfTI (dcm2niix), PNG or TIFF")
    else:
        read = _read_image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = read(path)
    except (UnreadableError, MemoryError):
        raise
    # Decoders raise whatever a damaged file leads them to.
    except Exception as error:
        raise UnreadableError(first_line(error)) from None
    if picture.pixels.size == 0:
        raise UnreadableError("has no pixels")
    if picture.is_deep and not np.isfinite(picture.pixels).all():
        raise UnreadableError("has pixels that are not finite numbers")
    return picture


def _read_image(path: Path) -> Picture:
    # Imported late, like nibabel: a help text needs neither.
    from PIL import Image, ImageSequence, UnidentifiedImageError

    # Not by its path, or Pillow (13.0) maps an uncompressed TIFF into memory, with width and height of one that lies on
    # its side mixed up.
    with path.open("rb") as file:
        try:
            image = Image.open(file, formats=_FORMATS)
        except UnidentifiedImageError:
            raise UnreadableError("is not a PNG, JPEG, TIFF or BMP image") from None
        if image.format != "TIFF" or getattr(image, "n_frames", 1) == 1:
            return Picture(_pixels(image), 2, (1.0, 1.0))
        pages = [_pixels(page) for page in ImageSequence.Iterator(image)]
    if len({(page.shape, page.dtype) for page in pages}) > 1:
        raise UnreadableError("has pages of different size or kind: give one file for each")
    if pages[0].ndim == 3:
        raise UnreadableError("has several pages in colour; volumes are grey")
    return Picture(np.stack(pages), 3, (1.0, 1.0, 1.0))


def _pixels(image: Image) -> NDArray[Any]:
    """Return uint8 (H, W) or (H, W, 3), or float32 (H, W)."""
    from PIL import Image as Images
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in _GREY:
        return np.array(turned.convert("L"))
    if turned.mode in _DEEP:
        values = np.array(turned).astype(np.float32)
        # Of up to 8 bits, Pillow (13.0) does it.
        return _inverted(values, turned.mode) if _is_white_zero(image) else values
    if turned.mode in _TRANSPARENT or "transparency" in turned.info:
        coloured = turned.convert("RGBA")
        turned = Images.alpha_composite(Images.new("RGBA", coloured.size, (0, 0, 0, 255)), coloured)
    colours = np.array(turned.convert("RGB"))
    is_grey = (colours[..., :1] == colours).all()
    return np.ascontiguousarray(colours[..., 0]) if is_grey else colours


def _is_white_zero(image: Image) -> bool:
    return bool(getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _inverted(values: NDArray[Any], mode: str) -> NDArray[Any]:
    """Make 0 black where it was white."""
    if not mode.startswith("I;16"):
        raise UnreadableError("says that 0 is white of values without a blackest one: save it with 0 as black")
    return np.float32(65535) - values


def _read_nifti(path: Path) -> Picture:
    try:
        import nibabel
    except ImportError:
        raise UnreadableError(NEEDS_NIBABEL) from None
    loaded = nibabel.load(path)
    if not isinstance(loaded, nibabel.Nifti1Pair):
        raise UnreadableError("is not a NIfTI file")
    while loaded.ndim > 3 and loaded.shape[-1] == 1:
        loaded = loaded.slicer[..., 0]
    kind = loaded.get_data_dtype()
    if loaded.ndim != 3 or kind.fields is not None or kind.kind == "c":
        raise UnreadableError(f"has the shape {loaded.shape} and type {kind}; one volume of grey values is expected")
    # From right-anterior-superior to left-posterior-superior, so that slices appear as radiologists look at them.
    turned = nibabel.as_closest_canonical(loaded)
    values = np.asanyarray(turned.dataobj)[::-1, ::-1, :].transpose(2, 1, 0)
    right, front, up = (float(size) for size in turned.header.get_zooms()[:3])
    spacing = tuple(size if size > 0 else 1.0 for size in (up, front, right))
    pixels = np.ascontiguousarray(values, dtype=np.uint8 if values.dtype == np.uint8 else np.float32)
    if 1 in pixels.shape:
        # A single slice, whichever way it was cut.
        thin = pixels.shape.index(1)
        return Picture(pixels.squeeze(axis=thin), 2, spacing[:thin] + spacing[thin + 1 :])
    return Picture(pixels, 3, spacing)
