"""A bar for each piece of long work, or a line now and then where no terminal is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Beat = Callable[[str, float], None]

_PLAIN_SECONDS = 30.0


@contextmanager
def progress() -> Iterator[Beat]:
    """What is called with the name of a piece and the share of it that is done, 0 to 1; writes to stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain()
        return
    bars = Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console)
    known: dict[str, TaskID] = {}

    def beat(name: str, share: float) -> None:
        if name not in known:
            known[name] = bars.add_task(name, total=1.0)
        bars.update(known[name], completed=share)

    with bars:
        yield beat


def _plain() -> Beat:
    said: dict[str, float] = {}

    def beat(name: str, share: float) -> None:
        now = time.monotonic()
        if name not in said or now - said[name] >= _PLAIN_SECONDS:
            print(f"{name}: {share:.0%}", file=sys.stderr, flush=True)
            said[name] = now

    return beat
