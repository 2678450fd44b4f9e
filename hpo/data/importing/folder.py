"""Make a data set of a folder of images and a table of their labels, or of sub-folders that are the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.duplicates import Pairs, Progress, near_duplicates
from hpo.data.groups import given_groups, group_pairs, has_groups
from hpo.data.importing.class_folders import table_of_folders
from hpo.data.importing.finding import Naming, locate
from hpo.data.importing.labels import label_names, read_labels
from hpo.data.importing.parts import Parts, drawn_parts, given_parts, groups_in_several_parts, require_parts
from hpo.data.importing.pictures import Form, Read, read_pictures, to_bytes
from hpo.data.importing.problems import Problems
from hpo.data.importing.table import Columns, Row, Table, likely_groups, read_table
from hpo.errors import DataError, UsageError
from hpo.study.catalogue import NEAR_DUPLICATE
from hpo.study.own import PIXELS, PixelRule
from hpo.text import composed, counted

SPLIT_COLUMN = "split"
"""Column that divides the samples, if there is one and no other is named."""

DEFAULT_TEST_SHARE = 0.2

PERCENTILES = (0.5, 99.5)
"""Of the pixels of train and val, after shrinking: what becomes 0 and 255 if pixels have more than 8 bits."""


Told = Callable[[str, float], None]
"""Called with what is being done and the fraction of it done, 0 to 1."""


def _untold(_what: str, _share: float) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be imported, and how.

    Attributes:
        table: of the labels; None if they are the names of the folder's sub-folders.
        columns: its `part` names a column that must be there; None takes the column `split` if there is one.
        positive: values of the label columns that are 1; none if they hold 0 and 1.
        draw: draw the parts, whatever columns there are.
        val_share, test_share: of all samples; None is 0 and .2 for parts that are drawn.
        seed: of the draw; None is 0.
        near_duplicates: correlation from which images stay in one part; None if similarity says nothing.
    """

    folder: Path
    table: Path | None
    name: str
    columns: Columns = field(default_factory=Columns)
    positive: tuple[str, ...] = ()
    form: Form = field(default_factory=Form)
    draw: bool = False
    val_share: float | None = None
    test_share: float | None = None
    seed: int | None = None
    near_duplicates: float | None = NEAR_DUPLICATE


@dataclass(frozen=True)
class PartCount:
    """How many samples a part has; of the test part nothing else is told.

    Attributes:
        positives: for each label; None for the test part.
    """

    part: str
    samples: int
    positives: tuple[int, ...] | None


@dataclass(frozen=True)
class Alike:
    """Samples that have a near-duplicate.

    Attributes:
        correlation: from which on; higher than `asked` if similar images would chain into groups too large for a part.
        across: pairs in different parts; none if the parts were drawn.
    """

    correlation: float
    asked: float
    samples: int
    across: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was made.

    Attributes:
        are_drawn: whether the parts were drawn, and not given by the table.
        part_column: the column that gave them.
        window: what became 0 and 255; None if 8 bits were kept as they were.
        groups: number of groups of the table; None if it has none.
        largest_group: its number of samples.
        ungrouped: samples whose group is not known.
        in_several_parts: groups with samples in more than one part.
        unused_groups: a column that by its name says what belongs together, and was not named; None if there is none.
        naming: how the table names its files.
        has_table: whether there is a table; without it the labels are the names of sub-folders.
        left_out: files in these that have endings of no picture.
        near_duplicates: kept in one part when parts were drawn; None if they were not looked for.
    """

    name: str
    label_names: tuple[str, ...]
    channels: int
    read: Read
    parts: tuple[PartCount, ...]
    are_drawn: bool
    part_column: str | None
    window: tuple[float, float] | None
    groups: int | None
    largest_group: int
    ungrouped: int
    in_several_parts: int
    unused_groups: str | None
    naming: Naming
    has_table: bool
    left_out: int
    near_duplicates: Alike | None


def import_folder(request: Request, progress: Told = _untold) -> tuple[dict[str, NDArray[Any]], Imported]:
    """Read a table and its images, and return the arrays of the file to write, and what to tell of them.

    Raises:
        DataError: with everything that is wrong with the table, its labels and its images.
        UsageError: if shares or a seed are given beside a column of parts.
    """
    problems = Problems()
    if not request.folder.is_dir():
        raise DataError(f"{request.folder} is not a folder of images")
    if request.table is None:
        table, left_out = table_of_folders(request.folder, request.columns)
    else:
        table, left_out = read_table(request.table), 0
    request = replace(request, positive=tuple(map(composed, request.positive)))
    columns = _columns(request, table)
    rows = table.rows(columns, problems)
    labels = read_labels(rows, columns.labels, request.positive, problems, of_folders=request.table is None)
    if labels is None:
        # The command has to be another one: reading thousands of images first would only take time.
        problems.refuse(table.path)
    located = locate(request.folder, [row.file for row in rows])
    pictures = read_pictures(request.folder, rows, located, request.form, problems, partial(progress, "reading images"))
    problems.refuse(table.path)
    assert labels is not None
    assert pictures is not None
    arrays, imported = _assembled(request, columns, rows, labels, *pictures, progress)
    return arrays, replace(
        imported, naming=located.naming, left_out=left_out, unused_groups=likely_groups(table, columns)
    )


def _columns(request: Request, table: Table) -> Columns:
    """Return the columns, with that of the parts if the table has one and it is wanted."""
    columns = request.columns
    if request.draw:
        return replace(columns, part=None)
    if columns.part is None and SPLIT_COLUMN in table.header:
        columns = replace(columns, part=SPLIT_COLUMN)
    if columns.part is not None and (request.val_share, request.test_share, request.seed) != (None, None, None):
        raise UsageError(
            f"{table.path} says by its column {columns.part!r} what is train, val and test: leave out --test-share, "
            "--val-share and --seed, or draw new parts with --split-column none"
        )
    return columns


def _assembled(
    request: Request,
    columns: Columns,
    rows: list[Row],
    labels: NDArray[np.uint8],
    images: NDArray[Any],
    read: Read,
    progress: Told,
) -> tuple[dict[str, NDArray[Any]], Imported]:
    ids = np.array([row.group for row in rows])
    groups = given_groups(ids)
    compared = partial(_pairs, images, read, partial(progress, "comparing images"))
    if columns.part is None:
        parts, alike = _drawn(request, labels, groups, compared)
    else:
        parts = given_parts([row.part or "" for row in rows])
        require_parts(parts, labels, f"change the column {columns.part!r}, or draw parts with --split-column none")
        alike = None
        if request.near_duplicates is not None:
            alike = _alike_across(parts, groups, compared(request.near_duplicates), request.near_duplicates)
    window = request.form.window
    if read.is_deep:
        window = _window(images[np.concatenate([parts[part] for part in parts if part != "test"])])
        images = to_bytes(images, *window)
    names = label_names(columns.labels, request.positive)
    numbers = _numbered(ids)
    arrays = _arrays(parts, images, labels, numbers if columns.group is not None else None)
    rule = PixelRule(fit=request.form.fit, window=window, is_deep=read.is_deep)
    arrays |= {"label_names": np.array(names), "name": np.array(request.name), PIXELS: np.array(rule.model_dump_json())}
    return arrays, Imported(
        name=request.name,
        label_names=tuple(names),
        channels=3 if images.ndim - 1 > read.dimensions else 1,
        read=read,
        parts=tuple(_count(part, labels[samples]) for part, samples in parts.items()),
        are_drawn=columns.part is None,
        part_column=columns.part,
        window=window,
        groups=int(numbers.max(initial=-1)) + 1 if columns.group is not None else None,
        largest_group=int(np.bincount(numbers[numbers >= 0]).max(initial=0)),
        ungrouped=int((numbers < 0).sum()) if columns.group is not None else 0,
        in_several_parts=groups_in_several_parts(parts, groups) if has_groups(groups) else 0,
        unused_groups=None,
        naming="relative",
        has_table=request.table is not None,
        left_out=0,
        near_duplicates=alike,
    )


def _drawn(
    request: Request, labels: NDArray[np.uint8], groups: NDArray[np.int64], compared: Callable[[float], Pairs]
) -> tuple[Parts, Alike | None]:
    """Draw parts that keep groups and near-duplicates whole."""
    alike = None
    if (asked := request.near_duplicates) is not None:
        pairs = compared(asked)
        groups, used = group_pairs(pairs, len(labels), groups)
        alike = Alike(used, asked, _samples(pairs.above(used)), across=0)
    test_share = DEFAULT_TEST_SHARE if request.test_share is None else request.test_share
    parts = drawn_parts(labels, groups, request.val_share or 0.0, test_share, request.seed or 0)
    largest = int(np.bincount(groups).max(initial=0))
    remedy = (
        "give another share or --seed, or more samples; groups and near-duplicates stay whole, the largest with "
        f"{largest:,} of {counted(len(labels), 'sample')}"
    )
    require_parts(parts, labels, remedy)
    return parts, alike


def _alike_across(parts: Parts, groups: NDArray[np.int64], pairs: Pairs, asked: float) -> Alike:
    """Count near-duplicates, and those that given parts divide."""
    used = group_pairs(pairs, len(groups), groups)[1]
    pairs = pairs.above(used)
    part_of = np.zeros(len(groups), dtype=np.int64)
    for number, samples in enumerate(parts.values()):
        part_of[samples] = number
    across = int((part_of[pairs.first] != part_of[pairs.second]).sum())
    return Alike(used, asked, _samples(pairs), across)


def _pairs(images: NDArray[Any], read: Read, progress: Progress, threshold: float) -> Pairs:
    whole = to_bytes(images, *_window(images)) if read.is_deep else images
    return near_duplicates(whole, threshold, progress)


def _samples(pairs: Pairs) -> int:
    return np.unique(np.concatenate([pairs.first, pairs.second])).size


def _window(images: NDArray[np.float32]) -> tuple[float, float]:
    low, high = (float(value) for value in np.nanpercentile(images, PERCENTILES))
    if low >= high:
        raise DataError(
            f"nearly all pixels have the value {low:g}: say with --window LOW HIGH which values become black and white"
        )
    return low, high


def _numbered(ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the groups as numbers by first appearance, -1 for unknown ones: names of patients stay in the table."""
    known = dict.fromkeys(text for text in ids.tolist() if text)
    number_of = {text: number for number, text in enumerate(known)}
    return np.array([number_of.get(text, -1) for text in ids.tolist()], dtype=np.int64)


def _arrays(
    parts: Parts, images: NDArray[np.uint8], labels: NDArray[np.uint8], groups: NDArray[np.int64] | None
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for part, samples in parts.items():
        arrays |= {f"{part}_images": images[samples], f"{part}_labels": labels[samples]}
        if groups is not None:
            arrays[f"{part}_groups"] = groups[samples]
    return arrays


def _count(part: str, labels: NDArray[np.uint8]) -> PartCount:
    positives = None if part == "test" else tuple(int(count) for count in labels.sum(axis=0, dtype=np.int64))
    return PartCount(part, len(labels), positives)
