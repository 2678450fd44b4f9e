"""A table of thousands of rows looks like rich's."""

from __future__ import annotations

import io
import random

import pytest
from rich.table import Column, Table

from hpo.cli.render.listing import Listing
from hpo.cli.render.page import PlainConsole

WORDS = ("margin=0.61", "a", "optimizer=adam,", "découpage", "画像の分類", "x" * 45, "[red]no markup[/red]", "\x1b[2J")


def lines(table: Table | Listing, width: int, *, is_terminal: bool = False) -> list[str]:
    console = PlainConsole(
        width=width, file=io.StringIO(), force_terminal=is_terminal, color_system="standard" if is_terminal else None
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [30, 44, 60, 80, 120, 400])
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_it_looks_like_richs_table_at_every_width(width: int, rows: int) -> None:
    chosen = random.Random(width + rows)
    headers = ("trial", "state", "settings or reason")
    ours = Listing(*headers, title="trials of digits")
    theirs = Table(*headers[:-1], Column(headers[-1], overflow="fold"), title="trials of digits")
    for number in range(rows):
        last = " ".join(chosen.choices(WORDS[:4], k=number % 9))
        cells = (str(number), chosen.choice(("complete", "pruned")), last)
        for table in (ours, theirs):
            table.add_row(*cells, style=chosen.choice((None, "green")))
    assert lines(ours, width) == lines(theirs, width)


@pytest.mark.parametrize("width", [26, 50])
def test_no_text_is_lost_or_obeyed_and_no_line_is_too_long(width: int) -> None:
    ours = Listing("trial", "settings or reason", title="trials")
    for word in WORDS:
        ours.add_row("1", f"before {word} after", style="red")
    shown = lines(ours, width)
    assert max(map(len, shown)) <= width
    text = "".join(line.strip(" │").removeprefix("1").strip(" │") for line in shown)
    assert "[red]no markup[/red]" in "".join(shown) or width < 50
    assert "\\x1b[2J" in text
    assert "x" * 45 in text


def test_a_row_has_its_style_on_a_terminal() -> None:
    table = Listing("trial", "reason", title="trials")
    table.add_row("1", "fine")
    table.add_row("2", "diverged", style="red")
    shown = lines(table, 60, is_terminal=True)
    assert not [line for line in shown if "fine" in line and "\x1b[31m" in line]
    assert [line for line in shown if "\x1b[31mdiverged" in line]
