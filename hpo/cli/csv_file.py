"""`--csv`: a command's table as comma-separated values, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hpo.cli.streams import say
from hpo.errors import OutputError, UsageError
from hpo.files import atomic_write, expanded, file_type
from hpo.text import counted, visible

STDOUT = "-"

csv_option = click.option(
    "--csv",
    "csv_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STDOUT,
    help="Write one CSV table into FILE, or on stdout without FILE or with -.",
)


def check_formats(*, as_json: bool, csv_file: str | None) -> None:
    """Raise UsageError if JSON and CSV are both asked for."""
    if as_json and csv_file is not None:
        raise UsageError("give --json or --csv, one of the two")


def write_csv(
    target: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    times: Sequence[str] = (),
    option: str = "--csv",
) -> None:
    """Write a table to a file, which is replaced whole, to a pipe or device, or to stdout.

    An unknown value is empty. Control characters of stored text are escapes.

    Args:
        target: path, or - for stdout.
        rows: values by column.
        columns: of the table; None for those of the first row.
        times: columns of seconds since 1970, which become dates in UTC.
        option: by which the target was given.

    Raises:
        OutputError: if the file cannot be written.
    """
    names = list(columns if columns is not None else rows[0] if rows else ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name), name in times) for name in names] for row in rows)
    if target == STDOUT:
        print(text.getvalue(), end="", flush=True)
        return
    path = expanded(target)
    _write(path, text.getvalue(), option)
    say(f"{path}: {counted(len(rows), 'row')}")


def _write(path: Path, text: str, option: str) -> None:
    try:
        # A pipe, as of `--csv >(gzip > trials.gz)`, or a device is written to, and not replaced by a file.
        if file_type(path) in (stat.S_IFIFO, stat.S_IFCHR):
            path.write_text(text, encoding="utf-8")
            return
        with atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); give another FILE to {option}") from None


def _cell(value: Any, is_time: bool) -> Any:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if is_time:
        try:
            return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
        except (OverflowError, ValueError, OSError):
            return ""
    return visible(value) if isinstance(value, str) else value
