"""Broken arrays, model files and SQLite files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from benchmarks.inputs.tally import Tally
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.testing.trainer import make_spec
from hpo.testing.trials import trained

_HEADERS = (
    *(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 8, 8), }}" for rows in (10**12, 10**30, 2**63, -1)),
    *(
        "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
        "{'descr': '|u1'}",
        "[" * 5000,
        "(" * 200 + ")" * 200,
    ),
    *("9" * 9000, "{'descr': '|u1', 'fortran_order': False, 'shape': 3, }", "import os", "\\x00", "{" * 100, ""),
    *("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,), }", "'" * 100, "{'descr': '|V99999999999', "),
    "{'descr': '|u1', 'fortran_order': 1, 'shape': (True, 8, 8), }",
    "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (), }",
)
"""Headers of arrays that lie, or are no headers."""

_KINDS = ("uint8", "int8", "bool", "complex64", "float64", "U3", "datetime64[s]", "uint16")
_SHAPES = ((4, 8, 8), (4, 1, 1), (1, 5000, 1), (4, 8), (4, 8, 8, 3), (0, 8, 8), (), (4, 28, 28), (4, 8, 8, 8))

changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8)
"""Places in a file, as shares of its length, and the bytes to put there."""

cuts = st.floats(0, 1.2)
"""Share of a file that is kept."""

arrays = st.one_of(
    st.tuples(st.just("damaged"), changes, cuts),
    st.tuples(st.just("lying"), st.sampled_from(_HEADERS), st.integers(0, 3)),
    st.tuples(st.just("other"), st.sampled_from(_KINDS), st.sampled_from(_SHAPES)),
    st.tuples(st.just("zip"), st.sampled_from((0, 8, 12, 14, 99)), st.sampled_from((0, 1, 8))),
    st.tuples(st.just("bytes"), st.binary(max_size=200), st.just(0)),
)
"""How an npz file is broken."""

models = st.one_of(
    st.tuples(st.just("damaged"), changes, cuts),
    st.tuples(st.just("header"), st.sampled_from(("about", "config", "dataset", "format")), st.sampled_from(
        ("", "{", "[]", "3", "[" * 5000, '{"a": 1}', "\x1b[2J", "9" * 5000, "digits", '{"input_size": 9e99}'))),
    st.tuples(st.just("type"), st.sampled_from(("F64", "I8", "BOOL", "C64", "U8", "X")), st.just(0)),
    st.tuples(st.just("bytes"), st.binary(max_size=200), st.just(0)),
)  # fmt: skip
"""How a model file is broken."""


def damaged(content: bytes, places: list[tuple[float, int]], kept: float) -> bytes:
    """Change some bytes, and cut or lengthen the rest."""
    changed = bytearray(content)
    for share, value in places:
        changed[min(int(share * len(changed)), len(changed) - 1)] = value
    return bytes(changed[: int(kept * len(changed))] if kept <= 1 else changed + b"\0" * 100)


def broken_npz(how: tuple[Any, ...]) -> bytes:
    """Make an npz file that is broken in one way."""
    kind, first, second = how
    if kind == "bytes":
        return bytes(first)
    if kind == "lying":
        text = first.encode() + b"\n"
        member = b"\x93NUMPY" + bytes((second, 0)) + struct.pack("<H" if second < 2 else "<I", len(text) % 65536) + text
        return _zipped(member + b"\1" * 256)
    if kind == "other":
        return _saved(np.zeros(second, first))
    good = _saved(np.ones((4, 8, 8), np.uint8))
    if kind == "zip":
        # Compression method and flags of the only member, in its own header and in the directory.
        broken, directory = bytearray(good), good.index(b"PK\1\2")
        for place in (6, directory + 8):
            broken[place], broken[place + 2] = second, first
        return bytes(broken)
    return damaged(good, first, second)


def broken_model(good: bytes, how: tuple[Any, ...]) -> bytes:
    """Make a model file that is broken in one way."""
    kind, first, second = how
    if kind == "bytes":
        return bytes(first)
    if kind == "damaged":
        # Most of a model is weights; the first bytes are its description.
        return damaged(good, [(share**8, value) for share, value in first], second)
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    if kind == "header":
        header["__metadata__"][first] = second
    else:
        header[next(name for name in header if name != "__metadata__")]["dtype"] = first
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length :]


def small_model(path: Path, dataset: str = "digits") -> bytes:
    """Write a network for a data set in 2D; return its bytes."""
    from hpo.study.catalogue import find_dataset
    from hpo.study.config import TrainConfig
    from hpo.training.loop.model_file import Model, save_model
    from hpo.training.model.resnet import resnet18

    save_model(Model(find_dataset(dataset), TrainConfig(), resnet18(2, 1, 0), {}), path)
    return path.read_bytes()


def study_in_a_file(path: Path) -> bytes:
    """Write a SQLite file with a study of three finished trials; return its bytes."""
    database = open_database(resolve_address(f"sqlite:///{path}"), create=True)
    trained(create_or_open(database, "study", make_spec(3)))
    with database.engine.begin() as connection:
        connection.execute(schema.ledger.insert().values(
            study="study", configuration='{"dataset": "breast"}', code_version="x", time=1.0, reason="r"))  # fmt: skip
    database.close()
    return path.read_bytes()


def read_everything(tally: Tally, path: Path, what: object) -> None:
    """Run every command that reads a study file's database, and those that change its tables."""
    address = ("--storage", f"sqlite:///{path}")
    for words in (
        *(["status", "study"], ["status", "study", "--json"], ["trials", "study"], ["trials", "study", "1"]),
        *(["best", "study"], ["trials", "study", "--json"], ["stop", "study"], ["db", "check"]),
        *(["studies"], ["studies", "--json"]),
        *(
            ["db", "backup", str(path.with_name("backup.sqlite3"))],
            ["db", "upgrade"],
            ["confirm", "study", "--on", "none"],
        ),
        ["launch", "--dataset", "digits", "--name", "study", "--on", "none"],
    ):
        tally.call([*words, *address], what)


def _saved(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, images=array)
    return file.getvalue()


def _zipped(member: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
    return file.getvalue()
