"""Read the table of an import: a CSV file with a row for each image."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from hpo.data.importing.problems import Problems
from hpo.data.loaders import SPLITS
from hpo.errors import DataError, did_you_mean
from hpo.files import read_text
from hpo.text import brief, composed

MOST_BYTES = 2**28
"""Largest table that is read."""

_DELIMITERS = ",;\t"

_GROUPS = re.compile(
    r"(patient|subject|participant|person|case|group|lesion|mrn)s?([ _-]?(id|no|nr|num|number|name|key))?"
)
"""Names of columns, in small letters, that say what belongs together."""

MISSING = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null"})
"""What NumPy, R, Excel, pandas and databases write, in small letters, for what is not there."""

_PARTS = {
    **{name: name for name in SPLITS},
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns hold what.

    Attributes:
        part: column of the division into train, val and test; None if there is none.
        group: column of the groups, such as patients; None if there is none.
    """

    file: str = "file"
    labels: tuple[str, ...] = ("label",)
    part: str | None = None
    group: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """All that must be there."""
        return (self.file, *self.labels, *(name for name in (self.part, self.group) if name is not None))


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        line: its line in the file, from 1; 0 if it was not read from one.
        part: train, val or test; None if the table does not say.
        group: "" if it is not known.
    """

    line: int
    file: str
    labels: tuple[str, ...]
    part: str | None
    group: str

    @property
    def place(self) -> str:
        """The file and its line, for a message."""
        return f"{self.file} (line {self.line})" if self.line else self.file


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    Attributes:
        path: of what it was read from, for messages.
        lines: the number of each line in the file, and its cells.
    """

    path: Path
    header: list[str]
    lines: list[tuple[int, list[str]]]

    def rows(self, columns: Columns, problems: Problems) -> list[Row]:
        """Return the rows; those that cannot be read, or repeat a file, are problems.

        Raises:
            DataError: if a column is missing or there twice.
        """
        places = self._places(columns)
        found: list[Row] = []
        first_line: dict[str, int] = {}
        for line, cells in self.lines:
            if len(cells) != len(self.header):
                problems.add(f"rows that do not have the {len(self.header)} cells of the header", f"line {line}")
                continue
            row = Row(
                line,
                cells[places[columns.file]],
                tuple(composed(cells[places[name]]) for name in columns.labels),
                _part(cells[places[columns.part]], line, problems) if columns.part is not None else None,
                _group(cells[places[columns.group]], line, problems) if columns.group is not None else "",
            )
            if not row.file:
                problems.add(f"rows without a file (column {columns.file!r})", f"line {line}")
            elif row.file in first_line:
                problems.add("files with more than one row", f"{row.file} (lines {first_line[row.file]} and {line})")
            else:
                first_line[row.file] = line
                found.append(row)
        return found

    def _places(self, columns: Columns) -> dict[str, int]:
        missing = [name for name in dict.fromkeys(columns.named) if name not in self.header]
        if missing:
            options = {columns.file: "--file-column", columns.part: "--split-column", columns.group: "--group"}
            told = "; ".join(
                f"no column {brief(name)}{did_you_mean(name, self.header)} "
                f"({options.get(name, '--label-column')} names another)"
                for name in missing
            )
            raise DataError(f"{self.path} has {told}")
        for name in columns.named:
            if self.header.count(name) > 1:
                raise DataError(f"{self.path} has {self.header.count(name)} columns {brief(name)}; rename all but one")
        return {name: self.header.index(name) for name in columns.named}


def read_table(path: Path) -> Table:
    """Read a CSV file in UTF-8, divided by commas, semicolons or tabs, or as its first line `sep=|` says.

    Raises:
        DataError: if it cannot be read, or is no table.
    """
    text = _text(path)
    lines: list[tuple[int, list[str]]] = []
    first = text.partition("\n")[0].rstrip("\r")
    # Excel reads and writes such a first line, `sep=;`.
    stated = re.fullmatch(r"sep=(.)", first, re.IGNORECASE)
    delimiter = stated[1] if stated else max(_DELIMITERS, key=first.count)
    # Strict, or a quotation mark that is not closed would make one cell of all rows that follow.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not (stated and begins == 1):
                lines.append((reader.line_num, [cell.strip() for cell in cells]))
            begins = reader.line_num + 1
    except csv.Error as error:
        cure = "where a cell begins with a quotation mark, it ends with one"
        raise DataError(f"{path}, line {begins}: not a CSV file ({error}); {cure}") from None
    if len(lines) < 2:
        raise DataError(f"{path} has no rows; it needs a header and a row for each image")
    (_, header), *rest = lines
    return Table(path, header, rest)


def likely_groups(table: Table, columns: Columns) -> str | None:
    """Return a column that by its name holds groups, and is not used; None if there is none with a repeated value."""
    if columns.group is not None:
        return None
    for place, name in enumerate(table.header):
        if name in columns.named or not _GROUPS.fullmatch(name.casefold()):
            continue
        cells = [cells[place] for _, cells in table.lines if len(cells) == len(table.header) and cells[place]]
        if len(set(cells)) < len(cells):
            return name
    return None


def _text(path: Path) -> str:
    try:
        return read_text(path, MOST_BYTES).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as CSV in UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _group(text: str, line: int, problems: Problems) -> str:
    # Taken for a name, it would make one group of all whose group is not known.
    if text.casefold() in MISSING:
        kind = "groups that are nan or NA: leave the cell empty if the group is not known, or give it another name"
        problems.add(kind, f"{brief(text)} (line {line})")
    return composed(text)


def _part(text: str, line: int, problems: Problems) -> str:
    part = _PARTS.get(text.lower())
    if part is None:
        problems.add(f"parts other than {', '.join(_PARTS)}", f"{brief(text)} (line {line})")
    return part or "train"
