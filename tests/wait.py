"""Waiting for conditions: tests sleep no fixed time, so that a machine ten times slower passes them too."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 60.0
"""Seconds after which what a test waits for is taken never to come; no test passes by reaching it."""


def until(
    true: Callable[[], object], seconds: float = LIMIT, tell: Callable[[], str] = str, pause: float = 0.01
) -> None:
    """Wait until `true` is.

    Args:
        seconds: after which the test fails.
        tell: gives the text that it fails with.
        pause: seconds between two looks.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, tell()
        time.sleep(pause)
