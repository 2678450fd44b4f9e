"""Make a table of a folder whose sub-folders are the classes: `photos/benign/*.png`, `photos/malignant/*.png`."""

from __future__ import annotations

from pathlib import Path

from hpo.data.importing.reading import ENDINGS, files_below
from hpo.data.importing.table import Columns, Table
from hpo.errors import DataError, UsageError
from hpo.text import composed

EXAMPLE = "a CSV file with a row for each image, such as the header file,label,patient and the row a/001.png,1,P17"


def table_of_folders(folder: Path, columns: Columns) -> tuple[Table, int]:
    """Return a table with a row for each picture, and how many files have endings of no picture.

    The label of a picture is the name of its sub-folder. Hidden files are left out.

    Raises:
        UsageError: if a column of a table is named, or a picture lies elsewhere than in a sub-folder of the first
            level.
        DataError: if there is no picture, or the folder cannot be read.
    """
    if columns != Columns():
        raise UsageError(
            "--group, --split-column, --file-column and --label-column are of a table: give it with --labels"
        )
    found = [path.relative_to(folder) for path in files_below(folder)]
    pictures = [path for path in found if path.name.lower().endswith(ENDINGS)]
    if not pictures:
        raise DataError(f"no picture in {folder}; endings that are read: {', '.join(ENDINGS)}")
    elsewhere = [path for path in pictures if len(path.parts) != 2]
    if elsewhere:
        raise UsageError(
            f"without --labels the sub-folders of {folder} are the labels, and {len(elsewhere):,} of "
            f"{len(pictures):,} images are in none of them, or deeper (such as {elsewhere[0]}): give --labels "
            f"FILE.csv, {EXAMPLE}"
        )
    lines = [(0, [str(path), composed(path.parts[0])]) for path in pictures]
    return Table(folder, list(columns.named), lines), len(found) - len(pictures)
