"""Read all pictures of a table, and bring them to one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from hpo.data.importing.finding import Located
from hpo.data.importing.problems import Problems
from hpo.data.importing.reading import Picture, UnreadableError, files_named, read_picture
from hpo.data.importing.resampling import as_bytes, longest_edge, resampled
from hpo.data.importing.table import Row
from hpo.errors import DataError
from hpo.host import affinity_cores
from hpo.study.own import Fit

DEFAULT_SIZE = 28
"""Pixels an edge, those of MedMNIST."""

Colour = Literal["auto", "grey", "rgb"]

_LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in a grey value, ITU-R BT.601, as in Pillow."""

_MOST_THREADS = 8

_BYTES = 16
"""Memory for each value of a file while it is read and shrunk, a little more than benchmarks/import_memory.py finds."""


@dataclass(frozen=True)
class Form:
    """What pictures are brought to.

    Attributes:
        size: pixels an edge; None for 28, or the longest edge of all pictures if that is less.
        window: values that become 0 and 255; None leaves 8 bits as they are.
    """

    size: int | None = None
    fit: Fit = "pad"
    colour: Colour = "auto"
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class Read:
    """What is told of the pictures as their files had them.

    Attributes:
        is_deep: whether they have more than 8 bits and are still to be brought to 8.
        smallest, largest: longest edges, in pixels.
        shrunk, enlarged, reshaped: numbers of pictures; reshaped are those that were not square.
    """

    size: int
    dimensions: int
    is_deep: bool
    smallest: int
    largest: int
    shrunk: int
    enlarged: int
    reshaped: int


@dataclass(frozen=True, eq=False)
class _Kept:
    """One picture: its pixels at the final size, or itself as long as that is not known.

    Attributes:
        edge: see `longest_edge`.
        values: number of values that its file has.
    """

    place: str
    content: NDArray[Any] | Picture
    dimensions: int
    is_deep: bool
    is_square: bool
    edge: int
    values: int


def read_pictures(
    folder: Path,
    rows: Sequence[Row],
    located: Located,
    form: Form,
    problems: Problems,
    progress: Callable[[float], None],
) -> tuple[NDArray[Any], Read] | None:
    """Read the pictures of all rows, as `read_files` does.

    Args:
        located: the file of each row.
        problems: gets files that are missing, cannot be read, or are named by two rows.

    Returns:
        None if one is missing.
    """
    files = located.files
    first: dict[Path, Row] = {}
    for row, path in zip(rows, files, strict=True):
        if row.file in located.repeated or (path is not None and _fits_several(row.file, path)):
            problems.add(f"names that fit several files below {folder}; write sub-folder and ending, too", row.place)
        elif path is None:
            problems.add(f"files that are not in {folder}", row.place)
        elif (other := first.setdefault(path, row)) is not row:
            problems.add("files with more than one row", f"{path.name} (lines {other.line} and {row.line})")
    there = [(row.place, path) for row, path in zip(rows, files, strict=True) if path is not None]
    found = read_files(there, form, problems, progress)
    return found if len(there) == len(rows) else None


def _fits_several(name: str, path: Path) -> bool:
    """Return whether a name without an ending is that of other files beside its own, such as an image's mask."""
    return len(files_named(path.parent, PureWindowsPath(name).name)) > 1


def read_files(
    files: Sequence[tuple[str, Path]],
    form: Form,
    problems: Problems,
    progress: Callable[[float], None],
    too_many: str = "give a smaller --size",
) -> tuple[NDArray[Any], Read] | None:
    """Read pictures, and bring them to one form.

    Args:
        files: what each is called in a message, and its path.
        problems: gets files that cannot be read.
        too_many: what to do if they do not fit in memory.

    Returns:
        (N, S, S), (N, S, S, 3) or (N, S, S, S) uint8, or float32 with NaN for added pixels if they have more than 8
        bits and there is no window; None if one cannot be read, or there is none.

    Raises:
        DataError: if they have no form in common, or do not fit in memory.
    """
    found = _read_all(files, form, problems, progress, too_many)
    if len(found) < len(files) or not found:
        return None
    _require_one_kind(found, form)
    return _stacked(found, form)


def _read_all(
    files: Sequence[tuple[str, Path]],
    form: Form,
    problems: Problems,
    progress: Callable[[float], None],
    too_many: str,
) -> list[_Kept]:
    found: list[_Kept] = []

    def read(task: tuple[str, Path]) -> _Kept | str:
        place, path = task
        try:
            return _kept(place, read_picture(path), form)
        except UnreadableError as error:
            return f"{place}: {error}"

    # One alone, which tells how many fit in memory at once.
    first = [read(task) for task in files[:1]]
    with ThreadPoolExecutor(_threads(first)) as pool:
        try:
            for done, one in enumerate(chain(first, pool.map(read, files[1:])), 1):
                if isinstance(one, str):
                    problems.add("files that cannot be read", one)
                else:
                    found.append(one)
                    if len(found) == 1:
                        _require_memory(one, len(files), form, too_many)
                progress(done / len(files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _threads(first: Sequence[_Kept | str]) -> int:
    """Return the number of pictures to read at once, so that half of the free memory is enough if all are alike."""
    each = max((one.values * _BYTES for one in first if isinstance(one, _Kept)), default=1)
    fitting = psutil.virtual_memory().available // 2 // each
    return int(max(1, min(_MOST_THREADS, affinity_cores(), fitting)))


def _kept(place: str, picture: Picture, form: Form) -> _Kept:
    if form.colour == "grey" and picture.is_coloured:
        picture = replace(picture, pixels=as_bytes(picture.pixels @ _LUMA))
    edge, size = longest_edge(picture, form.fit), form.size or DEFAULT_SIZE
    content = _pixels(picture, size, form) if edge > size else picture
    is_square = len(set(picture.pixels.shape[: picture.dimensions])) == 1
    return _Kept(place, content, picture.dimensions, picture.is_deep, is_square, edge, picture.pixels.size)


def _pixels(picture: Picture, size: int, form: Form) -> NDArray[Any]:
    values = resampled(picture, size, form.fit)
    if form.window is not None:
        return to_bytes(values, *form.window)
    return values.astype(np.float32) if picture.is_deep else as_bytes(values)


def to_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255; NaN becomes 0."""
    return as_bytes((values - low) * (255 / (high - low)))


def _require_memory(one: _Kept, count: int, form: Form, too_many: str) -> None:
    edge = form.size or DEFAULT_SIZE
    each = edge**one.dimensions * (4 if one.is_deep and form.window is None else 1)
    # Once as a list, once as an array, and room for what is computed from it.
    needed, free = 3 * count * each, psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{count:,} images of {edge} pixels an edge need {needed / 2**30:.1f} GiB of memory, and "
            f"{free / 2**30:.1f} GiB are free; {too_many}"
        )


def _require_one_kind(found: Sequence[_Kept], form: Form) -> None:
    """Raise DataError unless all are images or all volumes, and all of 8 bits or all of more."""
    kinds = [("images", [one for one in found if one.dimensions == 2])]
    kinds.append(("volumes", [one for one in found if one.dimensions == 3]))
    if all(members for _, members in kinds):
        raise DataError(f"{_both(kinds)}; a data set has one kind")
    if form.colour == "rgb" and kinds[1][1]:
        raise DataError("--rgb is for images; volumes are grey")
    if form.window is None:
        bits = [("files of 8 bits", [one for one in found if not one.is_deep])]
        bits.append(("of more", [one for one in found if one.is_deep]))
        if all(members for _, members in bits):
            raise DataError(
                f"{_both(bits)}; say with --window LOW HIGH which values become black and white in all of them"
            )


def _both(kinds: Sequence[tuple[str, Sequence[_Kept]]]) -> str:
    return " and ".join(f"{len(members):,} {name} (such as {members[0].place})" for name, members in kinds)


def _stacked(found: list[_Kept], form: Form) -> tuple[NDArray[Any], Read]:
    edges = [one.edge for one in found]
    size = form.size or min(DEFAULT_SIZE, max(edges))
    read = Read(
        size=size,
        dimensions=found[0].dimensions,
        is_deep=found[0].is_deep and form.window is None,
        smallest=min(edges),
        largest=max(edges),
        shrunk=sum(edge > size for edge in edges),
        enlarged=sum(edge < size for edge in edges),
        reshaped=sum(not one.is_square for one in found),
    )
    small = [
        _pixels(one.content, size, form) if isinstance(one.content, Picture) else one.content
        for one in found
    ]  # fmt: skip
    is_coloured = form.colour == "rgb" or any(image.ndim > read.dimensions for image in small)
    shape = (size,) * read.dimensions + (3,) * is_coloured
    images = np.empty((len(small), *shape), dtype=small[0].dtype)
    for place, image in enumerate(small):
        images[place] = image[..., None] if is_coloured and image.ndim == read.dimensions else image
    return images, read
