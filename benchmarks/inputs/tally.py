"""Call the command in this process, and count exit codes and failures of one kind of input."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo.cli import main

LEGAL_CODES = {0, 2, 3, 4, 5, 6, 7, 8, 9, 10}
"""Exit codes that a user's input may lead to; 1 is a bug, 130 an interruption."""

_HARMFUL = ("\x1b", "\x07", "\x9b", "\u202e")


@dataclass
class Tally:
    """Counts of one kind of input.

    Attributes:
        failures: what was tried and how it failed, one line each.
    """

    kind: str
    tried: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def call(self, words: Sequence[str], what: object = "", **environment: str) -> None:
        """Call `hpo WORDS`, and count how it ended.

        Args:
            what: the input, where the words do not show it.
        """
        code, output = call(words, **environment)
        self.count(code, output, f"{list(words)!r:.300} {what!r:.300}")

    def count(self, code: int, output: str, what: str) -> None:
        """Count one ending, and judge it."""
        self.tried += 1
        self.codes[code] += 1
        if code not in LEGAL_CODES or "Traceback" in output or any(letter in output for letter in _HARMFUL):
            last = output.strip().splitlines()[-3:]
            self.failures.append(f"exit code {code}: {what}: {' / '.join(last)!r:.400}")

    def line(self) -> str:
        """Format the counts as a row of a Markdown table."""
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(self.codes.items()))
        return f"| {self.kind} | {self.tried} | {codes} | {len(self.failures)} |"


def call(words: Sequence[str], **environment: str) -> tuple[int, str]:
    """Call `hpo WORDS` in this process; return its exit code, and what it printed on both streams."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    with _set_up(words, environment), contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            main()
            code = 1
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:
            code, _ = 1, print(f"Traceback: {type(error).__name__}: {error}")
    stream.seek(0)
    return code, stream.read()


@contextlib.contextmanager
def _set_up(words: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    before, argv, folder = dict(os.environ), sys.argv, Path.cwd()
    os.environ.update(environment)
    sys.argv = ["hpo", *words]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.argv = argv
        os.chdir(folder)
