"""MedMNIST files: found, checked and read, only the splits that were asked for."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.loaders import SPLITS, Loader, load_by
from hpo.errors import DataError
from hpo.registry import resolve
from hpo.study.catalogue import Dataset

State = Literal["ok", "missing", "altered", "unreadable", "built in"]


@dataclass(frozen=True)
class FileState:
    """What is known of a dataset's file. bytes: its size, None if there is none. detail: what is wrong, or ""."""

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
    """Check that the file is there, unaltered, and of the form the catalogue says; no array is decoded.

    Raises DataError: one sentence that says what is wrong and what to do.
    """
    if dataset.development is None:
        _check_form(dataset, folder / dataset.file_name, _read_checked(dataset, folder), SPLITS)


def file_state(dataset: Dataset, folder: Path) -> FileState:
    """The state of a dataset's file, after the checks of `verify`."""
    if dataset.development is not None:
        return FileState(dataset.name, None, "built in", None)
    path = folder / dataset.file_name
    try:
        verify(dataset, folder)
    except _FileError as fault:
        return FileState(dataset.name, path, fault.state, _size(path), str(fault))
    return FileState(dataset.name, path, "ok", _size(path))


def load_arrays(dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """SPLIT_images (N, H, W) or (N, D, H, W) and SPLIT_labels (N, L), uint8, for each asked split: train, val.

    The file is read once, its MD5 is checked on what was read, and only members of the asked splits are decoded.
    Raises DataError as `verify`, and for labels other than 0 and 1; ValueError for test rows, which have a door of
    their own in `hpo.data.sealed`.
    """
    if not set(splits) <= {"train", "val"}:
        raise ValueError(f"{', '.join(splits)}: only train and val are development rows; test rows are sealed")
    if dataset.development is None:
        return _load(dataset, folder, splits)
    loader: Loader = resolve(dataset.development)
    return load_by(loader, dataset, folder, splits)


def _load(dataset: Dataset, folder: Path, splits: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """As `load_arrays`, test rows too; imported by `hpo.data.sealed` alone, which a test checks."""
    path = folder / dataset.file_name
    content = _read_checked(dataset, folder)
    _check_form(dataset, path, content, splits)
    arrays: dict[str, NDArray[np.uint8]] = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        for split in splits:
            arrays[f"{split}_images"] = archive[f"{split}_images"]
            labels = archive[f"{split}_labels"]
            if not ((labels == 0) | (labels == 1)).all():
                raise _altered(dataset, path, f"{split}_labels holds other values than 0 and 1")
            arrays[f"{split}_labels"] = labels.astype(np.uint8, copy=False)
    return arrays


def has_right_checksum(dataset: Dataset, path: Path) -> bool:
    """Whether a readable file lies at `path` with the MD5 of the catalogue."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, md5).hexdigest() == dataset.md5
    except OSError:
        return False


def md5(content: bytes = b"") -> hashlib._Hash:
    """MD5 as a checksum, which works where MD5 as a cryptographic hash is forbidden."""
    return hashlib.md5(content, usedforsecurity=False)


def remedy(dataset: Dataset) -> str:
    """What a user without a good file should do."""
    return f"run `hpo data fetch {dataset.name}` or give --data-dir"


def _read_checked(dataset: Dataset, folder: Path) -> bytes:
    path = folder / dataset.file_name
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise _FileError("missing", f"the data folder {folder} does not exist; {remedy(dataset)}") from None
        if not folder.is_dir():
            raise _FileError("missing", f"{folder} is a file, not a data folder; give another --data-dir") from None
        raise _FileError("missing", f"{path} does not exist; {remedy(dataset)}") from None
    except PermissionError:
        message = f"{path} cannot be read for lack of rights; ask its owner for them or give another --data-dir"
        raise _FileError("unreadable", message) from None
    except IsADirectoryError:
        message = f"{path} is a folder, not a file; remove it, then {remedy(dataset)}"
        raise _FileError("unreadable", message) from None
    except OSError as error:
        raise _FileError("unreadable", f"{path} cannot be read: {error.strerror}; {remedy(dataset)}") from None
    found = md5(content).hexdigest()
    if found != dataset.md5:
        problem = f"is truncated or altered: MD5 of its {len(content):,} bytes is {found}, not {dataset.md5}"
        raise _FileError("altered", f"{path} {problem}; {remedy(dataset)}")
    return content


def _check_form(dataset: Dataset, path: Path, content: bytes, splits: tuple[str, ...]) -> None:
    counts = dict(zip(SPLITS, dataset.rows, strict=True))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for split in splits:
                for kind, one in (("images", dataset.image_shape), ("labels", (dataset.labels,))):
                    name = f"{split}_{kind}"
                    if problem := _problem_of_member(archive, name, (counts[split], *one)):
                        raise _altered(dataset, path, problem)
    except zipfile.BadZipFile:
        raise _altered(dataset, path, "it is no npz archive") from None


def _problem_of_member(archive: zipfile.ZipFile, name: str, wanted: tuple[int, ...]) -> str | None:
    """What is wrong with one array by its header alone: labels of any integer type will do, if they fit."""
    try:
        with archive.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(member)
    except KeyError:
        return f"it has no {name}"
    except ValueError as error:
        return f"{name} is no array: {error}"
    if shape != wanted:
        return f"{name} is {shape}, not {wanted}"
    is_legal = dtype == np.uint8 or (name.endswith("_labels") and dtype.kind in "bui")
    return None if is_legal else f"{name} is {dtype}, not uint8"


def _altered(dataset: Dataset, path: Path, problem: str) -> _FileError:
    return _FileError("altered", f"{path} is not the file it should be: {problem}; {remedy(dataset)}")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
