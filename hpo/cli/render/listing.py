"""A table of thousands of rows, which rich's own takes a millisecond for each."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table

from hpo.cli.render.page import whole
from hpo.text import visible

_LEAST_WIDTH = 16
"""Width of the last column below which rich's table, which narrows every column, is used."""


class Listing:
    """A table with a heading and a last column that takes the rest of the width and is wrapped.

    It looks like `rich.table.Table`.
    """

    def __init__(self, *headers: str, title: str) -> None:
        self._headers, self._title = headers, title
        self._rows: list[tuple[tuple[str, ...], str | None]] = []

    def add_row(self, *cells: str, style: str | None = None) -> None:
        """Add a row; only its last cell may be longer than a line."""
        self._rows.append((tuple(map(visible, cells)), style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the table, line by line."""
        widths = [
            max(map(_width, column)) for column in zip(self._headers, *(row for row, _ in self._rows), strict=True)
        ]
        left = options.max_width - sum(widths[:-1]) - 3 * len(widths) - 1
        if left < min(widths[-1], max(_LEAST_WIDTH, _width(self._headers[-1]))):
            yield self._narrow()
            return
        widths[-1] = min(widths[-1], left)
        whole = sum(widths) + 3 * len(widths) + 1
        for part in _wrapped(visible(self._title), whole):
            yield Segment(" " * ((whole - _width(part)) // 2) + part + "\n", Style(italic=True))
        yield Segment(_border(widths, "┏━┳┓"))
        yield from _line(self._headers, widths, Style(bold=True), "┃")
        yield Segment(_border(widths, "┡━╇┩"))
        styles = {name: console.get_style(name) for _, name in self._rows if name is not None}
        for cells, name in self._rows:
            *short, last = cells
            for number, part in enumerate(_wrapped(last, widths[-1])):
                line = [*(short if number == 0 else [""] * len(short)), part]
                yield from _line(line, widths, None if name is None else styles[name], "│")
        yield Segment(_border(widths, "└─┴┘"))

    def _narrow(self) -> Table:
        table = Table(*self._headers[:-1], whole(self._headers[-1]), title=self._title)
        for cells, style in self._rows:
            table.add_row(*cells, style=style)
        return table


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _line(cells: list[str] | tuple[str, ...], widths: list[int], style: Style | None, border: str) -> Iterator[Segment]:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    if style is None:
        yield Segment(f"{border} {f' {border} '.join(padded)} {border}\n")
        return
    for cell in padded:
        yield Segment(f"{border} ")
        yield Segment(cell, style)
        yield Segment(" ")
    yield Segment(f"{border}\n")


def _border(widths: list[int], letters: str) -> str:
    left, along, between, right = tuple(letters)
    return left + between.join(along * (width + 2) for width in widths) + right + "\n"


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield a text in lines of at most `width` cells, broken between words where possible."""
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0
        for word in paragraph.split(" "):
            length = _width(word)
            if line and used + 1 + length > width:
                yield line
                line, used = "", 0
            if length > width:
                *whole, word = chop_cells(word, width)
                yield from whole
                length = _width(word)
            line, used = (f"{line} {word}", used + 1 + length) if line else (word, length)
        yield line
