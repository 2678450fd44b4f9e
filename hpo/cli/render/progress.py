"""Show progress on stderr: bars on a terminal, else occasional lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hpo.cli.render.page import messages
from hpo.cli.streams import say

Beat = Callable[[str, float], None]

_PLAIN_SECONDS = 30.0


@contextmanager
def progress() -> Iterator[Beat]:
    """Yield a function that takes a task's name and the fraction done, 0 to 1; 1 once, at its end."""
    console = messages()
    if not console.is_terminal:
        yield _plain()
        return
    bars = Progress(TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn(), console=console)
    known: dict[str, TaskID] = {}

    def beat(name: str, share: float) -> None:
        if name not in known:
            known[name] = bars.add_task(name, total=1.0)
        bars.update(known[name], completed=share)

    with bars:
        yield beat


@contextmanager
def table_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes a table, its rows copied, and its rows in all; one bar per table with rows."""
    console = messages()
    if not console.is_terminal:
        beat = _plain()
        # The ends of a table are no news: the command says how many rows there were.
        yield lambda table, done, total: beat(table, done / total) if 0 < done < total else None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, console=console)
    tasks: dict[str, TaskID] = {}

    def copied(table: str, done: int, total: int) -> None:
        if total and table not in tasks:
            # Without a bar even its end would be a line.
            bars.start()
            tasks[table] = bars.add_task(table, total=total)
        if table in tasks:
            bars.update(tasks[table], completed=done)

    try:
        yield copied
    finally:
        if tasks:
            bars.stop()


@contextmanager
def download_bars() -> Iterator[Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]]:
    """Yield a function that opens a bar for a download, updated with the bytes done and in all, None if unknown."""
    console = messages()
    if not console.is_terminal:
        yield _download_lines
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:

        @contextmanager
        def bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
            task = bars.add_task(name, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
            bars.update(task, description=f"{name} ok")

        yield bar


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Open a bar for one download; as `download_bars`."""
    with download_bars() as bars, bars(name) as bar:
        yield bar


@contextmanager
def _download_lines(name: str) -> Iterator[Callable[[int, int | None], None]]:
    beat, last = _plain(), 0

    def downloaded(done: int, total: int | None) -> None:
        nonlocal last
        last = done
        # Its end has a line of its own.
        if total and done < total:
            beat(name, done / total)

    yield downloaded
    if last:
        say(f"{name}: {last:,} bytes, MD5 as it should be")


def _plain() -> Beat:
    shown_at: dict[str, float] = {}

    def beat(name: str, share: float) -> None:
        now = time.monotonic()
        if name not in shown_at or now - shown_at[name] >= _PLAIN_SECONDS or share >= 1:
            say(f"{name}: {share:.0%}")
            shown_at[name] = now

    return beat
