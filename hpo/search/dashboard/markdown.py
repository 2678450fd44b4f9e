"""Put text from the database into Markdown so that it is shown as it is, whatever it contains."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#+!|~&$^=]")
"""What Markdown, HTML, tables and formulas begin with."""

_LINK = re.compile(r"://|www\.|@", re.IGNORECASE)
"""Part of what the dashboard's page makes a link of, whatever stands before it, except in code."""


def text(value: object, *, in_table: bool = False) -> str:
    """Return Markdown that shows `value` in one line, without markup, links or HTML.

    Args:
        in_table: as in `code`.
    """
    line = _one_line(value)
    if _LINK.search(line):
        return code(line, in_table=in_table)
    return _SPECIAL.sub(lambda found: "\\" + found.group(), line)


def code(value: object, *, in_table: bool = False) -> str:
    """Return Markdown that shows `value` in one line as code.

    Args:
        in_table: whether it stands in a table, whose cells end at a vertical bar even within code.
    """
    inner = _one_line(value)
    longest = max((len(run) for run in re.findall("`+", inner)), default=0)
    if longest or inner != inner.strip():
        inner = f" {inner} "
    fence = "`" * (longest + 1)
    return fence + (inner.replace("|", "\\|") if in_table else inner) + fence


def _one_line(value: object) -> str:
    """Return `value` as text without line breaks and control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))
