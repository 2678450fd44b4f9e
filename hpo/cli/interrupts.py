"""Tell a Ctrl-C that arrives twice from one that is pressed twice: `timeout` sends its signal to child and group."""

from __future__ import annotations

import contextlib
import math
import os
import time
from types import FrameType

AT_ONCE = 0.2
"""Seconds within which the same signal is one: shorter than between two presses of a key."""


class Echoes:
    """Signals that came a moment ago, too."""

    def __init__(self, seconds: float = AT_ONCE) -> None:
        self._seconds = seconds
        self._last: dict[int, float] = {}

    def has(self, number: int) -> bool:
        """Return whether a signal that has come now is an echo; if it is not, later ones are compared with it."""
        now = time.monotonic()
        if now - self._last.get(number, -math.inf) < self._seconds:
            return True
        self._last[number] = now
        return False


def answer_at_once(line: str) -> None:
    """Print a line to stderr from a handler of signals, if it can be: its disk may be full, or its terminal gone.

    An exception would come up wherever the program is, in the middle of a step.
    """
    # Not by print or logging: the signal may have come in the middle of one.
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


_echoes = Echoes()


def interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, once for a signal that comes twice; a handler of signals."""
    if not _echoes.has(number):
        raise KeyboardInterrupt
