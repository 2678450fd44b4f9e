"""Turn the label columns of a table into 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.importing.problems import Problems
from hpo.data.importing.table import MISSING, Row
from hpo.errors import did_you_mean
from hpo.text import brief

_MOST_VALUES = 12


def read_labels(
    rows: Sequence[Row],
    columns: Sequence[str],
    positive: Sequence[str],
    problems: Problems,
    *,
    of_folders: bool = False,
) -> NDArray[np.uint8] | None:
    """Return (N, L) labels of 0 and 1; None if a column has other values, or one class only.

    Args:
        columns: names of the L columns.
        positive: values that are 1, all others are 0; none if the columns have 0 and 1.
        problems: gets such columns, cells that are empty, nan or NA, and positive values that no column has or that
            differ from another value in capital letters only.
        of_folders: whether the values are names of sub-folders, for messages.
    """
    is_legal = _check_positive(rows, positive, problems)
    labels = np.zeros((len(rows), len(columns)), dtype=np.uint8)
    for number, column in enumerate(columns):
        # A label that is not there must not become a negative one. Sub-folders have names, whatever these are.
        missing = {"nan"} if of_folders else MISSING - {value.casefold() for value in positive}
        cells = ["" if row.labels[number].casefold() in missing else row.labels[number] for row in rows]
        for row, cell in zip(rows, cells, strict=True):
            if not cell:
                given = f" is {brief(row.labels[number])}" if row.labels[number] else ""
                problems.add("labels that are empty, nan or NA", f"{row.place}, column {column!r}{given}")
        seen = Counter(cell for cell in cells if cell)
        value_of = _positives(seen, positive) if positive else _numbers(seen)
        if value_of is None:
            problems.add(_not_binary(None if of_folders else column, seen))
            is_legal = False
        elif seen and len(set(value_of.values())) < 2:
            problems.add(_one_class(None if of_folders else column, seen, positive))
            is_legal = False
        else:
            labels[:, number] = [value_of.get(cell, 0) for cell in cells]
    return labels if is_legal else None


def _check_positive(rows: Sequence[Row], positive: Sequence[str], problems: Problems) -> bool:
    """Return whether positive values are there as they are written: samples of a misspelt one would be negative."""
    if not rows:
        return True
    values = {cell for row in rows for cell in row.labels if cell}
    numbers = {_number(text) for text in values} - {None}
    absent = [text for text in positive if text not in values and _number(text) not in numbers]
    folded = {text.casefold() for text in positive}
    alike = sorted(text for text in values if text.casefold() in folded and text not in positive)
    if absent:
        near = did_you_mean(absent[0], sorted(values)) if not alike else ""
        problems.add(f"no sample has the value {', '.join(map(brief, absent))} of --positive{near}")
    if alike:
        given = " ".join(f"--positive {brief(text)}" for text in alike)
        problems.add(
            f"values that differ from those of --positive in capital letters only: {', '.join(map(brief, alike))}; add "
            f"{given}, or write them alike in the table"
        )
    return not absent and not alike


def label_names(columns: Sequence[str], positive: Sequence[str]) -> list[str]:
    """Return a name for each label: that of its column, or of the positive value if there is one of each."""
    return list(positive) if len(columns) == len(positive) == 1 else list(columns)


def _numbers(seen: Counter[str]) -> dict[str, int] | None:
    """Return 0 or 1 for each value; None if one is neither."""
    values = {text: int(number) for text in seen if (number := _number(text)) is not None and number in (0.0, 1.0)}
    return values if len(values) == len(seen) else None


def _positives(seen: Counter[str], positive: Sequence[str]) -> dict[str, int]:
    wanted = set(positive)
    numbers = {_number(text) for text in positive} - {None}
    return {text: int(text in wanted or _number(text) in numbers) for text in seen}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _not_binary(column: str | None, seen: Counter[str]) -> str:
    # What is looked for is mostly the rarer value.
    example = brief(min((text for text in seen if _number(text) not in (0.0, 1.0)), key=seen.__getitem__))
    or_columns = "" if column is None else "; or give a column of 0 and 1 for each label with --label-column"
    return (
        f"{_shown(column, seen)}; a label is 0 or 1: say which value is positive, for example --positive {example} "
        f"(more than one by repeating it), and all others are negative{or_columns}"
    )


def _one_class(column: str | None, seen: Counter[str], positive: Sequence[str]) -> str:
    if positive:
        given = ", ".join(map(brief, positive))
        return f"{_shown(column, seen)}; with --positive {given} all samples have one class"
    return f"{_shown(column, seen)} only; an AUC needs both classes"


def _shown(column: str | None, seen: Counter[str]) -> str:
    """Say which values a column has, or, without one, the sub-folders that are the labels."""
    of = "the labels are the sub-folders" if column is None else f"column {column!r} has the values"
    shown = [f"{brief(text, 40)} ({count:,})" for text, count in seen.most_common(_MOST_VALUES)]
    more = len(seen) - len(shown)
    return f"{of} {', '.join(shown)}" + (f" and {more:,} more" if more else "")
