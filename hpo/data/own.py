"""Read a user's own data file: check that it has MedMNIST's form, and say what is in it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hpo.data.loaders import SPLITS, problem_of_groups
from hpo.data.npz import Npz, NpzError, open_npz
from hpo.errors import DataError, UsageError, did_you_mean
from hpo.files import expanded
from hpo.study.own import MOST_EDGE, PIXELS, OwnFile, PixelRule, split_source
from hpo.text import brief

FORM = "the arrays of MedMNIST's files: train_images, train_labels, and the same for val and test, docs/own-data.md"

_MOST_NAME = 60
_MOST_SHOWN = 12
_MASK = (0, 255)
_CHANNELS = (1, 3, 4)


def read_own(source: str) -> OwnFile:
    """Read `FILE.npz`, or `FILE.npz:LABEL` for one label against the rest, and return what a study keeps of it.

    Images and labels of train and val are read. Of the test set, the form and the checksums that are in the archive
    are; its labels are only asked whether they are legal and of both classes, so that no study fails at its end.

    Args:
        source: LABEL is a column of the labels, or a value where they have one column; by number or name.

    Raises:
        DataError: if the file is missing or of another form, with what to do.
        UsageError: if it has no such label.
    """
    found = split_source(source)
    if found is None:
        raise UsageError(f"{brief(source)} is not the path of a data file, which ends in .npz")
    path = expanded(found[0]).absolute()
    try:
        state = path.stat()
        return _read(path, found[1], state.st_mtime_ns, state.st_size)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except NpzError as error:
        raise DataError(f"{path} {error}; a data file has {FORM}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=16)
def _read(path: Path, label: str | None, _changed: int, size: int) -> OwnFile:
    """Read a file, once per process while it stays as it is."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    with open_npz(path) as archive:
        form = _form(archive, path)
        names = _texts(archive, "label_names")
        chosen = None if label is None else _choose(label, form, names, path)
        given = _texts(archive, "name")
        for split in (split for split, rows in zip(SPLITS, form.rows, strict=True) if rows):
            labels = _two_dimensional(archive.read(f"{split}_labels"))
            _check_values(labels, split, chosen, form.columns, names, path)
            _check_classes(labels, split, chosen, path)
        return OwnFile(
            path=str(path),
            name=_as_name(given[0] if given else path.stem),
            md5=checksum,
            bytes=size,
            test=_digest_of_test(archive) if form.rows[2] else "",
            dimensions=form.dimensions,
            size=form.edge,
            channels=form.channels,
            columns=form.columns,
            label=chosen,
            label_names=_names_of(names, form.columns, chosen),
            rows=form.rows,
            is_mask=all(_is_mask(archive.read(f"{split}_images")) for split in form.development),
            pixels=_pixel_rule(archive),
        )


@dataclass(frozen=True)
class _Form:
    """What the headers of a file say; see `OwnFile`."""

    dimensions: Literal[2, 3]
    edge: int
    channels: Literal[1, 3]
    columns: int
    rows: tuple[int, int, int]

    @property
    def development(self) -> tuple[str, ...]:
        return tuple(split for split, rows in zip(SPLITS[:2], self.rows, strict=False) if rows)


def _form(archive: Npz, path: Path) -> _Form:
    """Check all headers. Raises DataError, NpzError."""
    shapes: list[tuple[int, ...]] = []
    widths, rows = [], []
    for split in SPLITS:
        names = [f"{split}_{kind}" for kind in ("images", "labels")]
        present = [name for name in names if name in archive.names]
        if not present and split != "train":
            rows.append(0)
            continue
        if len(present) < len(names):
            missing = next(name for name in names if name not in present)
            raise DataError(f"{path} has no {missing}; a data file has {FORM}")
        images, labels = (archive.header(name) for name in names)
        if images.dtype.hasobject:
            cure = "images of one shape make an array of numbers, np.stack(images)"
            raise DataError(f"{path}: {names[0]} holds Python objects, which are not read; {cure}")
        if images.dtype != np.uint8:
            cure = "scale the values to 0 to 255 and store them as uint8; `hpo data import` does so for image files"
            raise DataError(f"{path}: {names[0]} has type {images.dtype}, not uint8; {cure}")
        if labels.dtype.kind not in "bui" or len(labels.shape) not in (1, 2):
            given = f"has type {labels.dtype} and shape {labels.shape}"
            cure = "leave out images without a label, write 1 where one has it, else 0, and store them as uint8"
            form = "labels are integers of shape (N, L), L labels of each image"
            raise DataError(f"{path}: {names[1]} {given}; {form}: {cure}")
        if not images.shape or images.shape[0] != labels.shape[0]:
            raise DataError(f"{path}: {names[0]} has shape {images.shape}, but {names[1]} {labels.shape}")
        if split == "train" and not images.shape[0]:
            raise DataError(f"{path}: there are no training images")
        rows.append(images.shape[0])
        shapes += [images.shape[1:]] if images.shape[0] else []
        widths += [labels.shape[1] if len(labels.shape) == 2 else 1] if images.shape[0] else []
    if len({*shapes}) > 1 or len({*widths}) > 1:
        raise DataError(f"{path}: the images of its splits have shapes {shapes} and {widths} labels; make them equal")
    if not widths[0]:
        raise DataError(f"{path}: train_labels has no column")
    _check_groups(archive, rows, path)
    dimensions, edge, channels = _shape(shapes[0], path)
    return _Form(dimensions, edge, channels, widths[0], (rows[0], rows[1], rows[2]))


def _shape(shape: tuple[int, ...], path: Path) -> tuple[Literal[2, 3], int, Literal[1, 3]]:
    """Return dimensions, edge and channels of images. Raises DataError for another form."""
    if len(shape) not in (2, 3):
        raise DataError(
            f"{path}: one image has shape {shape}; legal: (H, W) grey, (H, W, 3) RGB, (D, H, W) a volume in grey"
        )
    if len(shape) == 3 and len({*shape}) > 1 and (shape[2] in (1, 4) or (shape[0] in _CHANNELS and shape[2] != 3)):
        raise DataError(f"{path}: one image has shape {shape}; {_cure_of_channels(shape)}")
    is_rgb = len(shape) == 3 and shape[2] == 3 and shape != (3, 3, 3)
    edges = shape[:2] if is_rgb else shape
    if len({*edges}) > 1 or not edges[0]:
        unit = "a square" if len(edges) == 2 else "a cube"
        hint = "; RGB images have shape (H, W, 3)" if len(shape) == 3 and not is_rgb else ""
        cure = "pad or crop the images; `hpo data import` does so"
        raise DataError(f"{path}: one image has shape {shape}, which is not {unit}{hint}; {cure}")
    if edges[0] > MOST_EDGE:
        raise DataError(
            f"{path}: images have an edge of {edges[0]}, at most {MOST_EDGE} is legal; make them smaller, as "
            "`hpo data import --size` does"
        )
    return (3 if len(edges) == 3 else 2), edges[0], (3 if is_rgb else 1)


def _cure_of_channels(shape: tuple[int, ...]) -> str:
    """Say what to do with one, three or four channels that are not (H, W, 3)."""
    is_last = shape[2] in _CHANNELS
    if shape[2 if is_last else 0] == 1:
        return f"grey images have shape (H, W): store images{'[..., 0]' if is_last else '[:, 0]'}"
    order = "" if is_last else ".transpose(0, 2, 3, 1)"
    return f"RGB images have shape (H, W, 3), and no other channels are read: store images{order}[..., :3]"


def _check_groups(archive: Npz, rows: list[int], path: Path) -> None:
    wanted = [split for split, count in zip(SPLITS[:2], rows, strict=False) if count]
    present = [split for split in wanted if f"{split}_groups" in archive.names]
    if present and present != wanted:
        missing = next(split for split in wanted if split not in present)
        raise DataError(f"{path} has no {missing}_groups, but other groups; give both or none")
    for split, count in zip(SPLITS, rows, strict=True):
        name = f"{split}_groups"
        if count and name in archive.names:
            header = archive.header(name)
            if problem := problem_of_groups(name, header.shape, header.dtype, count):
                raise DataError(f"{path}: {problem}")


def _choose(label: str, form: _Form, names: tuple[str, ...], path: Path) -> int:
    """Return the number of a label, given by number or name.

    Of one column with one name, the name is that of the value 1.
    """
    if form.columns == 1 and names == (label,):
        return 1
    if label in names:
        return names.index(label)
    if not re.fullmatch(r"\d{1,3}", label):
        hint = did_you_mean(label, names) if names else "; give its number, since the file has no label_names"
        raise UsageError(f"{path} has no label {brief(label)}{hint}")
    if form.columns > 1 and int(label) >= form.columns:
        raise UsageError(f"{path} has no label {label}: its {form.columns} labels are numbered from 0")
    return int(label)


def _check_values(
    labels: NDArray[Any], split: str, chosen: int | None, columns: int, names: tuple[str, ...], path: Path
) -> None:
    """Check that labels are 0 and 1, or that there is the chosen one among the values of a single column."""
    if chosen is not None and columns == 1:
        values = np.unique(labels)
        if split != "test" and chosen not in values:
            raise UsageError(f"{path}: no {split} sample has the label {chosen}; there are {_listed(values)}")
        return
    columns_checked = labels if chosen is None else labels[:, [chosen]]
    if ((columns_checked == 0) | (columns_checked == 1)).all():
        return
    values = np.unique(columns_checked)
    problem = f"{path}: {split}_labels has the values {_listed(values)}; hpo trains on labels of 0 and 1"
    if columns > 1 or (values < 0).any():
        raise DataError(f"{problem}; write 1 where a sample has a label and 0 where it has not")
    example = names[1] if len(names) > 1 else str(int(values[-1]))
    raise DataError(
        f"{problem}. Train one label against the rest: --dataset {path.name}:{example}; or write 0 and 1, as "
        "`hpo data import --positive` does"
    )


def _check_classes(labels: NDArray[Any], split: str, chosen: int | None, path: Path) -> None:
    """Check that at least one trained label has both classes: without, a study would fail where it scores the split."""
    trained = labels if chosen is None else labels == chosen if labels.shape[1] == 1 else labels[:, [chosen]]
    if (trained == trained[0]).all():
        raise DataError(
            f"{path}: all {len(labels):,} samples of {split} have the same labels, and an AUC needs both classes; "
            "divide the samples so that each part has some of both, or leave this part out where it is val or test"
        )


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(str(int(value)) for value in values[:_MOST_SHOWN])
    return shown + (", ..." if values.size > _MOST_SHOWN else "")


def trained_labels(labels: NDArray[Any], own: OwnFile | None) -> NDArray[Any]:
    """Return labels as stored as those that are trained: (N, L), of one label against the rest if one was chosen."""
    stored = _two_dimensional(labels)
    if own is None or own.label is None:
        return stored
    return stored[:, [own.label]] if own.columns > 1 else stored == own.label


def _two_dimensional(labels: NDArray[Any]) -> NDArray[Any]:
    return labels if labels.ndim == 2 else labels[:, None]


def _names_of(names: tuple[str, ...], columns: int, chosen: int | None) -> tuple[str, ...]:
    if chosen is None or (columns == len(names) == 1 and chosen == 1):
        return names if len(names) == columns else ()
    return () if len(names) == 1 else names[chosen : chosen + 1]


def _texts(archive: Npz, name: str) -> tuple[str, ...]:
    """Return an array of text, or a single text, as printable strings; () if there is none."""
    if name not in archive.names or archive.header(name).dtype.kind not in "US":
        return ()
    array = archive.read(name)
    texts = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return tuple("".join(letter for letter in str(text) if letter.isprintable()).strip() for text in texts.ravel())


def _pixel_rule(archive: Npz) -> PixelRule | None:
    """Return how the pixels were made, if the file says so; an array of that name may be anything else."""
    try:
        return PixelRule.model_validate_json("".join(_texts(archive, PIXELS)))
    except ValidationError:
        return None


def _as_name(text: str) -> str:
    """Return a name that is safe in commands and paths."""
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:_MOST_NAME]
    return name or "own"


def _digest_of_test(archive: Npz) -> str:
    """Return 8 hexadecimal digits that identify the test arrays, from the checksums in the archive, unread."""
    stored = [archive.checksum(f"test_{kind}") for kind in ("images", "labels")]
    return hashlib.sha256(repr(stored).encode()).hexdigest()[:8]


def _is_mask(images: NDArray[np.uint8]) -> bool:
    return bool(np.isin(images[:64], _MASK).all()) and bool(np.isin(images, _MASK).all())
