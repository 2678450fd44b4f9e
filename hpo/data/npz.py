"""Read arrays of npz files from outside: headers first, so that a file that lies about its size costs no memory."""

from __future__ import annotations

import io
import math
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from hpo.text import brief

MOST_HEADER = 10_000
"""Largest number of bytes of an array's header that is parsed, as in numpy."""

_PART = 2**20

_ENCRYPTED = 0x1
"""Bit of a zip member's flags."""


class NpzError(ValueError):
    """A file that is not an npz file, or an array in it that cannot be read; the message continues `FILE ...`."""


@dataclass(frozen=True)
class Header:
    """What the header of an array says.

    Attributes:
        start: bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    start: int

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


class Npz:
    """An open npz file, from `open_npz`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @property
    def names(self) -> list[str]:
        """Names of its arrays."""
        return [name.removesuffix(".npy") for name in self._archive.namelist() if name.endswith(".npy")]

    def header(self, name: str) -> Header:
        """Read the header of an array.

        Raises:
            KeyError: if there is no such array.
            NpzError: if it cannot be read, or disagrees with the number of bytes stored.
        """
        member = self._archive.getinfo(f"{name}.npy")
        if member.flag_bits & _ENCRYPTED:
            raise NpzError(f"has an encrypted array {brief(name)}")
        with _as_npz_error(name), self._archive.open(member) as file:
            found = _read_header(file)
        # Python objects are stored in a form of their own length.
        if not found.dtype.hasobject and found.start + found.size != member.file_size:
            raise NpzError(
                f"has an array {brief(name)} of shape {brief(found.shape)} and type {brief(str(found.dtype))}, but "
                f"{member.file_size:,} bytes for it"
            )
        return found

    def checksum(self, name: str) -> tuple[int, int]:
        """Return CRC-32 and bytes of an array's file as the archive states them; raises KeyError if there is none."""
        member = self._archive.getinfo(f"{name}.npy")
        return member.CRC, member.file_size

    def read(self, name: str) -> NDArray[Any]:
        """Read an array of numbers, or text.

        Raises:
            KeyError: if there is no such array.
            NpzError: as `header`, and if it is damaged, holds Python objects, or does not fit in the free memory.
        """
        header = self.header(name)
        if header.dtype.hasobject:
            raise NpzError(f"has an array {brief(name)} of Python objects, not of numbers")
        free = psutil.virtual_memory().available
        if header.size > free:
            raise NpzError(f"has an array {brief(name)} of {header.size:,} bytes, more than the {free:,} that are free")
        try:
            content = bytearray(header.size)
        except (MemoryError, OverflowError):
            raise NpzError(f"has an array {brief(name)} of {header.size:,} bytes, more than there is memory") from None
        with _as_npz_error(name), self._archive.open(f"{name}.npy") as file:
            file.read(header.start)
            _fill(memoryview(content), file)
        flat = np.frombuffer(content, header.dtype)
        return flat.reshape(header.shape[::-1]).T if header.fortran_order else flat.reshape(header.shape)


@contextmanager
def open_npz(source: Path | bytes) -> Iterator[Npz]:
    """Open an npz file by its path, or its content.

    Raises:
        NpzError: if it is not one.
        OSError: if it cannot be opened.
    """
    if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
        raise NpzError("is not a file")
    try:
        archive = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        raise NpzError("is not an npz archive, or a damaged one") from None
    with archive:
        yield Npz(archive)


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise NpzError(f"has an array in version {version} of numpy's format, which hpo does not read")
    shape, fortran_order, dtype = readers[version](file, max_header_size=MOST_HEADER)
    if any(edge < 0 for edge in shape):
        raise NpzError("has an array with a negative shape")
    return Header(shape, dtype, fortran_order, file.tell())


def _fill(content: memoryview, file: IO[bytes]) -> None:
    done = 0
    while done < len(content):
        part = file.read(min(_PART, len(content) - done))
        if not part:
            raise EOFError
        content[done : done + len(part)] = part
        done += len(part)
    # Reading to the end compares the checksum.
    if file.read(1):
        raise EOFError


@contextmanager
def _as_npz_error(name: str) -> Iterator[None]:
    """Turn everything that a damaged array can raise into NpzError: of zip, of zlib, of a header in Python syntax."""
    try:
        yield
    except NpzError:
        raise
    except (RecursionError, MemoryError):
        raise NpzError(f"has an array {brief(name)} with a header that is nested too deep") from None
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError),
        *(ValueError, TypeError, SyntaxError, OverflowError, tokenize.TokenError, AttributeError, KeyError),
    ) as error:
        raise NpzError(f"has a damaged array {brief(name)} ({type(error).__name__})") from None
