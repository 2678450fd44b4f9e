"""Stored rows that no hpo wrote: any text in any column, and any type, which SQLite allows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

TEXTS = (
    "[/b]",
    "[red]x",
    "\x1b]0;t\x07",
    "\x1b[2J",
    "\x9b31m",
    "\u202e",
    "<script>x</script>",
    "![](http://x/y)",
    "`a`",
)
"""Texts that a terminal, Markdown or a browser would obey."""

values = st.sampled_from(
    (
        *TEXTS,
        None,
        0,
        -1,
        2**62,
        1.5,
        float("inf"),
        "",
        "abc",
        b"\xff\xfe",
        b"",
        "{}",
        "[]",
        "null",
        "[" * 3000,
        "9" * 5000,
    )
)
"""Values to put into a column."""

COLUMNS = tuple(
    (table, name)
    for table, names in {
        "hpo_study": "spec trials created_at code_version finished fingerprint",
        "hpo_trial": "trial_number state worker outcome reason reference epoch auc standard_error record started ended "
        "place fence progress lease_until checkpoint trial_id",
        "hpo_report": "auc standard_error fold_aucs training_auc training_loss seconds",
        "hpo_worker": "host device job started seen ended message process",
        "hpo_ledger": "configuration time reason code_version",
        "hpo_version": "version",
        "studies": "study_name",
        "alembic_version": "version_num",
    }.items()
    for name in names.split()
)
"""Columns that hpo reads."""

cells = st.tuples(st.sampled_from(COLUMNS), values)
"""A column and the value to put into its first row."""


def change(path: Path, cell: tuple[tuple[str, str], Any]) -> None:
    """Put a value into a column, past hpo."""
    (table, column), value = cell
    connection = sqlite3.connect(path)
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})", (value,))
        connection.commit()
    except sqlite3.Error:
        # Keys and NOT NULL refuse some.
        connection.rollback()
    finally:
        connection.close()
