"""Tell somebody at a terminal that a command is at work, if it has printed nothing for a while."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.cli import streams

SECONDS = 2.0
"""Silence after which a command says that it works: loading torch or Matplotlib from a slow disk takes longer."""


@contextmanager
def first_sign(command: str, seconds: float = SECONDS) -> Iterator[None]:
    """Say after some seconds that a command is loading, unless it has printed something or stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    streams.forget_output()

    def tell() -> None:
        if not streams.has_printed():
            streams.say(f"{command}: loading ...")

    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
