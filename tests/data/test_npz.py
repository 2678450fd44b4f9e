"""Npz files that lie, are damaged, or are none: refused from their headers, before memory is taken."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hpo.data.npz import NpzError, open_npz

GOOD = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)


def zipped(member: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("images.npy", member)
    return file.getvalue()


def with_header(text: str, version: int = 1) -> bytes:
    header = text.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return zipped(b"\x93NUMPY" + bytes((version, 0)) + length + header + b"\1" * 64)


def shaped(shape: str, dtype: str = "'|u1'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, images=array)
    return file.getvalue()


def encrypted(content: bytes) -> bytes:
    changed, directory = bytearray(content), content.index(b"PK\1\2")
    changed[6] |= 1
    changed[directory + 8] |= 1
    return bytes(changed)


def compressed_by(content: bytes, method: int) -> bytes:
    changed, directory = bytearray(content), content.index(b"PK\1\2")
    changed[8] = changed[directory + 10] = method
    return bytes(changed)


BROKEN = {
    "nothing": b"",
    "text": b"no archive",
    "an array alone": saved(GOOD)[60:],
    "cut": saved(GOOD)[:150],
    "10^12 rows": with_header(shaped("(1000000000000, 8, 8)")),
    "10^30 rows": with_header(shaped(f"({10**30}, 8, 8)")),
    "fewer rows": with_header(shaped("(1, 8, 4)")),
    "negative rows": with_header(shaped("(-1, 8, 8)")),
    "a shape that is no shape": with_header(shaped("3")),
    "objects": saved(np.array([None, 1], object)),
    "a deep header": with_header("(" * 5000),
    "a long header": with_header("9" * 40_000, version=2),
    "no header": with_header(""),
    "an unknown version": with_header(shaped("(1, 8, 8)"), version=9),
    "a huge item": with_header(shaped("(1,)", "'|V99999999999'")),
    "encrypted": encrypted(saved(GOOD)),
    "unknown compression": compressed_by(saved(GOOD), 99),
    "other compression": compressed_by(saved(GOOD), 14),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_without_taking_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    path.write_bytes(BROKEN[kind])
    tracemalloc.start()
    try:
        for source in (path, BROKEN[kind]):
            with pytest.raises(NpzError), open_npz(source) as arrays:
                arrays.read("images")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_every_changed_byte_is_refused_or_changes_nothing() -> None:
    content = saved(GOOD)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        try:
            with open_npz(bytes(changed)) as arrays:
                np.testing.assert_array_equal(arrays.read("images"), GOOD)
        except (NpzError, KeyError):
            continue


def test_an_array_that_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip bomb: small on the disk, and as large as it says."""
    monkeypatch.setattr("hpo.data.npz.psutil.virtual_memory", lambda: type("", (), {"available": 1000})())
    with open_npz(saved(np.zeros((100, 8, 8), np.uint8))) as arrays, pytest.raises(NpzError, match=r"6,400\b"):
        arrays.read("images")


@pytest.mark.parametrize("array", [GOOD, np.asfortranarray(GOOD), GOOD.astype(">i4"), np.float32(3), np.zeros((0, 8))])
def test_a_good_array_is_what_numpy_reads(array: np.ndarray) -> None:
    with open_npz(saved(array)) as arrays:
        assert arrays.names == ["images"]
        found = arrays.read("images")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.asarray(array).dtype


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(NpzError), open_npz(Path("/dev/zero")):
        pass
