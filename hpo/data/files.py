"""Locate, verify and read MedMNIST files, decoding only the requested splits."""

from __future__ import annotations

import errno
import hashlib
import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.loaders import SPLITS, Loader, as_ids, group_arrays, load_by, problem_of_groups
from hpo.data.npz import Npz, NpzError, open_npz
from hpo.data.own import trained_labels
from hpo.errors import DataError
from hpo.files import file_type
from hpo.registry import resolve
from hpo.study.catalogue import Dataset

State = Literal["ok", "missing", "altered", "unreadable", "built in"]


@dataclass(frozen=True)
class FileState:
    """The state of a dataset's file.

    Attributes:
        bytes: size of the file, None if there is none.
        detail: what is wrong, "" if nothing is.
    """

    dataset: str
    path: Path | None
    state: State
    bytes: int | None
    detail: str = ""


class _FileError(DataError):
    def __init__(self, state: State, message: str) -> None:
        self.state: State = state
        super().__init__(message)


def verify(dataset: Dataset, folder: Path) -> None:
    """Check that the file exists, is unaltered, and has the shapes of the catalogue, without decoding an array.

    Raises:
        DataError: with what is wrong and what to do.
    """
    if dataset.development is None:
        _check_form(dataset, data_path(dataset, folder), _read_checked(dataset, folder), SPLITS)


def data_path(dataset: Dataset, folder: Path) -> Path:
    """Return the path of a dataset's file: in the data folder, or, of a user's own, where it was.

    If that is gone or has another size, as on another host, it is looked for in the data folder.
    """
    if dataset.own is None:
        return folder / dataset.file_name
    places = (Path(dataset.own.path), folder / Path(dataset.own.path).name)
    same = (path for path in places if _size(path) == dataset.own.bytes)
    return next(same, next((path for path in places if path.exists()), places[1]))


def file_state(dataset: Dataset, folder: Path) -> FileState:
    """Return the state of a dataset's file by the checks of `verify`."""
    if dataset.development is not None:
        return FileState(dataset.name, None, "built in", None)
    path = data_path(dataset, folder)
    try:
        verify(dataset, folder)
    except _FileError as error:
        return FileState(dataset.name, path, error.state, _size(path), str(error))
    return FileState(dataset.name, path, "ok", _size(path))


def load_arrays(dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Load SPLIT_images (N, H, W), (N, H, W, 3) or (N, D, H, W) and SPLIT_labels (N, L), uint8, for train and val.

    Of a split without samples nothing is loaded. Where the data have groups, SPLIT_groups (N,) too, integers or text;
    MedMNIST's files have none.

    Raises:
        DataError: as `verify`, and for labels other than 0 and 1.
        ValueError: for the test set, which only `hpo.data.sealed` may load.
    """
    if not set(splits) <= {"train", "val"}:
        raise ValueError(
            f"{', '.join(splits)}: only train and val belong to the development set; the test set is sealed"
        )
    if dataset.development is None:
        return _load(dataset, folder, splits)
    loader: Loader = resolve(dataset.development)
    return load_by(loader, dataset, folder, splits)


def _load(dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Load any splits, the test set too; only `hpo.data.sealed` may import this, which a test checks."""
    path = data_path(dataset, folder)
    splits = present(dataset, splits)
    # Read once, so that the bytes whose MD5 was checked are those that are decoded.
    content = _read_checked(dataset, folder)
    _check_form(dataset, path, content, splits)
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with open_npz(content) as archive:
            for split in splits:
                arrays[f"{split}_images"] = archive.read(f"{split}_images")
                labels = trained_labels(archive.read(f"{split}_labels"), dataset.own)
                if not ((labels == 0) | (labels == 1)).all():
                    raise _altered(dataset, path, f"{split}_labels has values other than 0 and 1")
                arrays[f"{split}_labels"] = labels.astype(np.uint8, copy=False)
            for name in group_arrays(archive.names, splits):
                arrays[name] = as_ids(archive.read(name))
    except NpzError as error:
        if dataset.own is not None:
            # Its checksum is right, so the file of the study is the damaged one, and no copy of it helps.
            cure = "write it anew, and begin a new study with another --name"
            raise _FileError("altered", f"{path} {error}, as it was when the study was created; {cure}") from None
        raise _altered(dataset, path, f"it {error}") from None
    return arrays


def present(dataset: Dataset, splits: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of some splits that have samples."""
    counts = dict(zip(SPLITS, dataset.rows, strict=True))
    return tuple(split for split in splits if counts[split])


def has_right_checksum(dataset: Dataset, path: Path) -> bool:
    """Return whether `path` is a readable file with the MD5 of the catalogue."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, md5).hexdigest() == dataset.md5
    except OSError:
        return False


def md5(content: bytes = b"") -> hashlib._Hash:
    """Return MD5 for use as a checksum, which works where MD5 is forbidden as a cryptographic hash (FIPS)."""
    return hashlib.md5(content, usedforsecurity=False)


def remedy(dataset: Dataset) -> str:
    """Return what a user whose file is missing or invalid should do."""
    if dataset.own is not None:
        return f"put the file of the study (MD5 {dataset.own.md5}) back, or give --data-dir with a folder that has it"
    return f"run `hpo data fetch {dataset.name}` or give --data-dir"


def _read_checked(dataset: Dataset, folder: Path) -> bytes:
    path = data_path(dataset, folder)
    try:
        content = _read_bytes(dataset, path)
    except (FileNotFoundError, NotADirectoryError):
        if dataset.own is not None:
            places = f"{dataset.own.path} does not exist, nor {path}"
            raise _FileError("missing", f"{places}; {remedy(dataset)}") from None
        if not folder.exists():
            raise _FileError("missing", f"the data folder {folder} does not exist; {remedy(dataset)}") from None
        if not folder.is_dir():
            raise _FileError("missing", f"{folder} is a file, not a data folder; give another --data-dir") from None
        raise _FileError("missing", f"{path} does not exist; {remedy(dataset)}") from None
    except PermissionError:
        message = f"no permission to read {path}; ask its owner for it or give another --data-dir"
        raise _FileError("unreadable", message) from None
    except IsADirectoryError:
        message = f"{path} is a folder, not a file; remove it, then {remedy(dataset)}"
        raise _FileError("unreadable", message) from None
    except OSError as error:
        raise _FileError("unreadable", f"{path} cannot be read: {error.strerror}; {remedy(dataset)}") from None
    checksum = md5(content).hexdigest()
    if checksum != dataset.md5 and dataset.own is not None:
        # Of a larger file not all was read, so that its MD5 is not known.
        is_larger = len(content) > dataset.own.bytes
        found = (
            f"it had {dataset.own.bytes:,} bytes, and has more" if is_larger else f"MD5 {checksum}, not {dataset.md5}"
        )
        problem = f"has changed since the study was created: {found}"
        raise _FileError("altered", f"{path} {problem}; {remedy(dataset)}, or begin a new study with another --name")
    if checksum != dataset.md5:
        problem = f"is truncated or altered: MD5 of its {len(content):,} bytes is {checksum}, not {dataset.md5}"
        raise _FileError("altered", f"{path} {problem}; {remedy(dataset)}")
    return content


def _read_bytes(dataset: Dataset, path: Path) -> bytes:
    """Read a whole file, but not one that is larger than its arrays could be."""
    values = sum(dataset.rows) * (math.prod(dataset.image_shape) + 8 * dataset.labels)
    # A user's own file may have any further arrays; its size is known.
    most = 2 * values + 2**20 if dataset.own is None else dataset.own.bytes
    if file_type(path) not in (None, stat.S_IFREG, stat.S_IFDIR):
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most and dataset.own is None:
        raise _altered(dataset, path, f"it has more than {most:,} bytes")
    return content


def _check_form(dataset: Dataset, path: Path, content: bytes, splits: tuple[str, ...]) -> None:
    counts = dict(zip(SPLITS, dataset.rows, strict=True))
    try:
        with open_npz(content) as archive:
            for split in present(dataset, splits):
                # The form of a user's own file was checked when it became a dataset, and its checksum is the same.
                kinds = (("images", dataset.image_shape), ("labels", (dataset.labels,)))
                for kind, one in kinds if dataset.own is None else ():
                    name = f"{split}_{kind}"
                    if problem := _problem_of_member(archive, name, (counts[split], *one)):
                        raise _altered(dataset, path, problem)
            for name in group_arrays(archive.names, present(dataset, splits)):
                if problem := _problem_of_groups(archive, name, counts[name.removesuffix("_groups")]):
                    raise _altered(dataset, path, problem)
    except NpzError as error:
        raise _altered(dataset, path, f"it {error}") from None


def _problem_of_groups(archive: Npz, name: str, count: int) -> str | None:
    try:
        header = archive.header(name)
    except KeyError:
        return f"it has no {name}, but other groups"
    return problem_of_groups(name, header.shape, header.dtype, count)


def _problem_of_member(archive: Npz, name: str, wanted: tuple[int, ...]) -> str | None:
    """Return what is wrong with one array, judging by its header alone; labels may have any integer type."""
    try:
        header = archive.header(name)
    except KeyError:
        return f"it has no {name}"
    if header.shape != wanted:
        return f"{name} has shape {header.shape}, not {wanted}"
    is_legal = header.dtype == np.uint8 or (name.endswith("_labels") and header.dtype.kind in "bui")
    return None if is_legal else f"{name} has type {header.dtype}, not uint8"


def _altered(dataset: Dataset, path: Path, problem: str) -> _FileError:
    return _FileError("altered", f"{path} is not the expected file: {problem}; {remedy(dataset)}")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
