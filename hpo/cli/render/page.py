"""Print tables to standard output at a suitable width, or draw them to a file."""

from __future__ import annotations

import io
import os
from pathlib import Path

from rich.console import Console, RenderableType

from hpo.errors import OutputError


def page() -> Console:
    """Return a console on standard output; if not a terminal, wide enough that a program or a pager loses nothing."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=200)


def draw(what: RenderableType, path: Path, title: str) -> None:
    """Draw what a terminal would show into an SVG file. Raises OutputError if it cannot be written."""
    console = Console(record=True, width=116, file=io.StringIO(), force_terminal=True)
    console.print(what)
    try:
        path.write_text(console.export_svg(title=title), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
