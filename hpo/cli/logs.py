"""Show hpo's log messages on standard error."""

from __future__ import annotations

import logging

from hpo.cli.streams import say


class _StandardError(logging.Handler):
    """Print to the current `sys.stderr`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(self.format(record))


def log_to_stderr(*, timestamps: bool = False) -> None:
    """Send hpo's log to stderr: plain lines for a person, with time and level for a worker's log file."""
    handler = _StandardError()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s" if timestamps else "%(message)s"))
    logger = logging.getLogger("hpo")
    logger.handlers[:] = [other for other in logger.handlers if not isinstance(other, _StandardError)] + [handler]
    logger.setLevel(logging.INFO)
    # A connection that is lost as it goes back to the pool is replaced; SQLAlchemy logs it with a traceback, which
    # Python prints where nobody handles it.
    logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())
