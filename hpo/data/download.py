"""Download MedMNIST files to NAME.npz.part, verify the checksum, then move them into place atomically."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import http.client
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from hpo.data.files import has_right_checksum, md5
from hpo.data.reach import unreachable
from hpo.errors import DataError, OutputError
from hpo.files import move_into_place
from hpo.study.catalogue import Dataset

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the total, which is None if the server does not state it."""

SOURCE = "https://zenodo.org/records/10519652"
"""MedMNIST's page with the files, the one that the package medmnist downloads from."""

MIRROR_VARIABLE = "HPO_DATA_URL"
"""Web address of a folder that has the files, to be used instead of SOURCE."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 30.0
_CONNECT_S, _SLOW_S = 10.0, 1.5
_OFFICIAL_NAME = re.compile(r"[a-z]+mnist(3d)?(_\d+)?")
_CHUNK = 1 << 18
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


_log = logging.getLogger(__name__)


class _InterruptedTransferError(Exception):
    """The transfer was interrupted and can be resumed by another attempt."""


def fetch(
    dataset: Dataset,
    folder: Path,
    url: str | None = None,
    progress: Progress = lambda _had, _total: None,
    *,
    pauses: tuple[float, ...] = PAUSES,
) -> Path:
    """Download a dataset's file unless a copy with the right checksum exists.

    An interrupted transfer is resumed where it stopped, even by a later call.

    Args:
        url: address to use instead of MedMNIST's. Proxies are taken from the environment.
        pauses: seconds to wait before each retry in a row that makes no progress.

    Returns:
        Path of the file, or the folder if the dataset has no file.

    Raises:
        DataError: if the file cannot be downloaded, has the wrong checksum, or is being fetched by another process;
            says what to put where by hand.
        OutputError: if it cannot be written.
    """
    target = folder / dataset.file_name
    if dataset.development is not None:
        return folder
    if dataset.own is not None:
        raise DataError(f"{dataset.own.path} is a file of your own, which cannot be downloaded")
    if has_right_checksum(dataset, target):
        return target
    address = url or address_of(dataset)
    if address is None:
        raise DataError(f"{dataset.name} is not among the files at {SOURCE}; put {dataset.file_name} into {folder}")
    if not address.lower().startswith(("http://", "https://")):
        raise DataError(f"{address} is not a web address; give one that begins with http:// or https://")
    if target.is_dir():
        raise OutputError(f"{target} is a folder, not a file; remove it, then fetch again")
    by_hand = _by_hand(dataset, folder)
    part = target.with_name(f"{target.name}.part")
    with _locked(part) as file:
        if has_right_checksum(dataset, target):
            part.unlink(missing_ok=True)
            return target
        if problem := unreachable(address, _CONNECT_S, _SLOW_S, lambda: _log.info(f"no answer yet. {by_hand}")):
            raise DataError(f"{address} cannot be reached ({problem}). {by_hand}")
        was_continued = _transfer(address, file, part, progress, pauses)
        if was_continued and _checksum(file) != dataset.md5:
            # The existing part belongs to another file, or the file on the server has changed since.
            file.truncate(0)
            _transfer(address, file, part, progress, pauses)
        found = _checksum(file)
        if found != dataset.md5:
            part.unlink(missing_ok=True)
            problem = f"MD5 of its {file.tell():,} bytes is {found}, not {dataset.md5}"
            raise DataError(f"{address} is not {dataset.file_name}: {problem}; nothing was kept. {by_hand}")
        with _as_output_error(target):
            move_into_place(part, target)
    return target


def _transfer(url: str, file: FileIO, path: Path, progress: Progress, pauses: tuple[float, ...]) -> bool:
    """Download the missing part of `file` and append it.

    Returns:
        Whether any request resumed an existing part, so that the file may mix two versions.

    Raises:
        DataError: if the server cannot be reached, refuses, or interrupts the transfer too often.
        OutputError: if the file cannot be written.
    """
    furthest, tries, was_continued = _size(file), 0, _size(file) > 0
    while True:
        try:
            _attempt(url, file, path, progress)
            return was_continued
        except urllib.error.URLError as error:
            reason = _plain(error.reason)
            if tries == 0:
                raise DataError(f"{url} cannot be reached: {reason}; check the network and proxy settings") from None
        except _InterruptedTransferError as error:
            reason = str(error)
        size = _size(file)
        tries = 1 if size > furthest else tries + 1
        furthest, was_continued = max(furthest, size), was_continued or size > 0
        if tries > len(pauses):
            problem = f"broke off {tries} times, last at {size:,} bytes ({reason})"
            raise DataError(f"{url} {problem}; run the same command again to go on from there")
        time.sleep(pauses[tries - 1])


def _attempt(url: str, file: FileIO, path: Path, progress: Progress) -> None:
    """Request the missing part once and append it."""
    had = _size(file)
    # In a compressed response the byte offsets of a range would not match those of the file.
    headers = {"User-Agent": "hpo", "Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and had:
            # The file is complete or too long; the checksum decides.
            return
        if error.code in _WORTH_ANOTHER_TRY:
            raise _InterruptedTransferError(f"HTTP {error.code} {error.reason}") from None
        raise DataError(
            f"{url} answers HTTP {error.code} {error.reason}; another address may be given as {MIRROR_VARIABLE}"
        ) from None
    except urllib.error.URLError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedTransferError(_plain(error)) from None
    with response:
        if had and response.status != http.client.PARTIAL_CONTENT:
            # The server ignores ranges and sends the file from its start.
            had = file.truncate(0)
        total = _total(response)
        _require_space(path, file, None if total is None else total - had)
        while chunk := _read(response):
            with _as_output_error(path):
                _append(file, chunk)
            had += len(chunk)
            progress(had, total)
    if total is not None and had < total:
        raise _InterruptedTransferError(f"cut at {had:,} of {total:,} bytes")


def _total(response: http.client.HTTPResponse) -> int | None:
    """Return the size of the whole file in bytes; None if the server does not state it."""
    in_range = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    length = in_range[1] if in_range else response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedTransferError(_plain(error)) from None


def _append(file: FileIO, chunk: bytes) -> None:
    file.seek(0, os.SEEK_END)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _size(file: FileIO) -> int:
    return file.seek(0, os.SEEK_END)


def _require_space(path: Path, file: FileIO, missing: int | None) -> None:
    disk = os.fstatvfs(file.fileno())
    if missing is not None and missing > disk.f_bavail * disk.f_frsize:
        raise OutputError(
            f"no space for {path}: it needs {missing:,} more bytes; free some space or give another --data-dir"
        )


def _plain(reason: object) -> str:
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _checksum(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, md5).hexdigest()


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[FileIO]:
    """Yield the .part file, open and locked against other processes; remove it if it is left empty."""
    with _as_output_error(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with _as_output_error(part):
            # Unbuffered: on a full disk, a buffered file would fail a second time when closed.
            file = FileIO(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{part} is being fetched by another process; wait until it has finished") from None
            except OSError:
                # Some network file systems have no locks; the checksum still rejects a file written by two processes.
                pass
            if not _is_at(file, part):
                continue
            try:
                yield file
            finally:
                if _is_at(file, part) and os.fstat(file.fileno()).st_size == 0:
                    part.unlink(missing_ok=True)
            return


def _is_at(file: FileIO, path: Path) -> bool:
    """Return whether `path` still names the open file: another process may have moved it before we got the lock."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise OutputError(f"no permission to write {path}; ask for it or give another --data-dir") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"the disk is full at {path}; free some space or give another --data-dir") from None
        raise OutputError(f"{path} cannot be written: {error.strerror}; give another --data-dir") from None


def address_of(dataset: Dataset) -> str | None:
    """Return the web address of a dataset's file: on the mirror, if there is one, else of MedMNIST; None if neither."""
    if dataset.own is not None:
        return None
    if mirror := os.environ.get(MIRROR_VARIABLE):
        return f"{mirror.rstrip('/')}/{dataset.file_name}"
    if not _OFFICIAL_NAME.fullmatch(dataset.official_name):
        return None
    return f"{SOURCE}/files/{dataset.file_name}?download=1"


def _by_hand(dataset: Dataset, folder: Path) -> str:
    return (
        f"Without a network: put {dataset.file_name} (MD5 {dataset.md5}), from {SOURCE}, into {folder.absolute()}, or "
        f"name the folder that has it by --data-dir; a mirror by {MIRROR_VARIABLE}; check proxy settings, too."
    )
