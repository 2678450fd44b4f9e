"""Fetching MedMNIST files: into NAME.npz.part, checked, then moved into place in one step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from hpo.data.files import has_right_checksum, md5
from hpo.data.transfer import PAUSES, Transfer
from hpo.errors import DataError, OutputError
from hpo.study.catalogue import Dataset


def fetch(
    dataset: Dataset,
    folder: Path,
    url: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    *,
    pauses: tuple[float, ...] = PAUSES,
) -> Path:
    """Download a dataset's file unless it is there and right; returns its path (the folder, for built-in digits).

    url: another address than MedMNIST's. progress: called with bytes had and bytes in all (None if unknown).
    pauses: seconds before each new attempt at a transfer that was cut. A transfer that ends early is taken up by the
    next call where it stopped. Raises DataError if the file cannot be had, is not the right one, or is being fetched
    by another process; OutputError if it cannot be written.
    """
    target = folder / dataset.file_name
    if dataset.md5 is None:
        return folder
    if has_right_checksum(dataset, target):
        return target
    address = url or _official_address(dataset)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; remove it, then fetch again")
    part = target.with_name(f"{target.name}.part")
    with _locked(part) as file:
        if has_right_checksum(dataset, target):
            part.unlink()
            return target
        _fill(dataset, file, part, address, progress, pauses)
        with _as_output_error(target):
            os.fsync(file.fileno())
            part.replace(target)
            _sync_folder(folder)
    return target


def _fill(
    dataset: Dataset,
    file: FileIO,
    part: Path,
    address: str,
    progress: Callable[[int, int | None], None] | None,
    pauses: tuple[float, ...],
) -> None:
    transfer = Transfer(address, file, part, progress, pauses)
    left_over = transfer.had
    transfer.run()
    if _checksum(file) != dataset.md5 and left_over:
        transfer.restart()
        transfer.run()
    found = _checksum(file)
    if found != dataset.md5:
        part.unlink()
        problem = f"MD5 of the {transfer.had:,} bytes is {found}, not {dataset.md5}"
        raise DataError(f"{address} is not {dataset.file_name}: {problem}; nothing was kept, try another --url")


def _checksum(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, md5).hexdigest()


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[FileIO]:
    """The .part file, open for reading and writing, held against other processes; removed if it stays empty."""
    with _as_output_error(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with _as_output_error(part):
            # Unbuffered, since a full disk would speak up a second time when a buffer is closed.
            file = FileIO(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{part} is being fetched by another process; wait until that has ended") from None
            except OSError:
                # Some network file systems have no locks; the checksum still keeps a mixed file out.
                pass
            if not _is_at(file, part):
                continue
            try:
                yield file
            finally:
                if _is_at(file, part) and os.fstat(file.fileno()).st_size == 0:
                    part.unlink()
            return


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether `path` still names the open file: another process may have moved it into place before we had the lock."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise OutputError(f"no rights to write {path}; ask for them or give another --data-dir") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutputError(f"the disk is full at {path}; make room or give another --data-dir") from None
        raise OutputError(f"{path} cannot be written: {error.strerror}; give another --data-dir") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _official_address(dataset: Dataset) -> str:
    # medmnist prints to stdout when its torchvision does not load; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        from medmnist import INFO

    return str(INFO[dataset.official_name]["url"])
