"""Turn the label columns of a table into 0 and 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.importing.problems import Problems
from hpo.data.importing.table import Row
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
        problems: gets such columns, and cells that are empty or nan.
        of_folders: whether the values are names of sub-folders, for messages.
    """
    is_legal = True
    labels = np.zeros((len(rows), len(columns)), dtype=np.uint8)
    for number, column in enumerate(columns):
        # NumPy and others write "nan" for a label that is not there, which must not become a negative one.
        cells = ["" if row.labels[number].casefold() == "nan" else row.labels[number] for row in rows]
        for row, cell in zip(rows, cells, strict=True):
            if not cell:
                problems.add("labels that are empty, or nan", f"{row.place}, column {column!r}")
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
