"""What hpo logs, on standard error."""

from __future__ import annotations

import logging
import sys


class _StandardError(logging.Handler):
    """Prints to whatever `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        print(self.format(record), file=sys.stderr, flush=True)


def log_to_stderr(*, timestamps: bool = False) -> None:
    """Send what hpo logs to stderr: plain lines for a person, lines with a time and a level for a worker's log file."""
    handler = _StandardError()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s" if timestamps else "%(message)s"))
    logger = logging.getLogger("hpo")
    logger.handlers[:] = [other for other in logger.handlers if not isinstance(other, _StandardError)] + [handler]
    logger.setLevel(logging.INFO)
