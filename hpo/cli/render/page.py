"""Consoles that show stored text as it is: on standard output at a suitable width, on standard error, or in a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

from hpo.cli.streams import note_output
from hpo.errors import OutputError
from hpo.text import visible


class PlainConsole(Console):
    """A console for which text is text: no markup, no emoji codes, no control characters of a terminal.

    Names, reasons and records come from a database that others write. Style is given by `rich.text.Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to text, with control characters as escapes, and their widths as they will be."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object; whatever built its text, none of it reaches the terminal as a command."""
        for segment in super().render(renderable, options):
            is_shown = segment.control or segment.text.isprintable() or segment.text == "\n"
            yield segment if is_shown else segment._replace(text=visible(segment.text))

    def on_broken_pipe(self) -> None:
        """Let the error of a reader that has gone away propagate, where rich exits with code 1."""
        if self.stderr:
            self.quiet = True
            return
        raise BrokenPipeError


def page() -> Console:
    """Return a console on standard output; if not a terminal, wide enough that a program or a pager loses nothing."""
    note_output()
    console = PlainConsole()
    return console if console.is_terminal or "COLUMNS" in os.environ else PlainConsole(width=200)


def messages() -> Console:
    """Return a console on standard error."""
    note_output()
    return PlainConsole(stderr=True, highlight=False)


def whole(header: str) -> Column:
    """Return a column that breaks words longer than its lines; those of other columns end in an ellipsis."""
    return Column(header, overflow="fold")


def draw(what: RenderableType, path: Path, title: str) -> None:
    """Draw what a terminal would show into an SVG file. Raises OutputError if it cannot be written."""
    console = PlainConsole(record=True, width=116, file=io.StringIO(), force_terminal=True)
    console.print(what)
    try:
        path.write_text(console.export_svg(title=visible(title)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
