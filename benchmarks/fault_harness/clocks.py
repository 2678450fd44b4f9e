"""Clocks that are set while workers run: a worker's wall clock, and the clock of the database."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from hpo.search.database.schema import database_now

HOUR = 3600.0


def skew_clock(offset: float, real: Callable[[], float] = time.time) -> None:
    """Let this process's wall clock be wrong by `offset` seconds; the monotonic clock stays.

    SIGUSR1 sets it forward by an hour, SIGUSR2 back.
    """
    ahead = [offset]
    time.time = lambda: real() + ahead[0]

    def step(seconds: float) -> Callable[..., None]:
        def answer(*_: object) -> None:
            ahead[0] += seconds

        return answer

    signal.signal(signal.SIGUSR1, step(HOUR))
    signal.signal(signal.SIGUSR2, step(-HOUR))


def shift_database_clock(engine: Engine, ahead: Callable[[], float]) -> None:
    """Let what hpo takes for the database's clock be `ahead()` seconds ahead in every later statement of an engine."""
    now = str(database_now().compile(dialect=engine.dialect))

    def shifted(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> tuple[str, Any]:
        return statement.replace(now, f"({now} + ({ahead()!r}))"), parameters

    sa.event.listen(engine, "before_cursor_execute", shifted, retval=True)


class ClockFile:
    """By how many seconds the database's clock is ahead, in a file that all workers of a database read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, seconds: float) -> None:
        """Set it for all workers at once."""
        partial = self._path.with_suffix(".partial")
        partial.write_text(repr(seconds))
        partial.replace(self._path)

    def ahead(self) -> float:
        """Seconds; 0 if it was never set."""
        try:
            return float(self._path.read_text())
        except FileNotFoundError:
            return 0.0
