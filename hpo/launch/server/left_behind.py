"""End a PostgreSQL whose `hpo db serve` was killed, on systems where it does not end with its parent."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import psutil

from hpo.errors import StorageError

_log = logging.getLogger(__name__)


def end_left_behind(data: Path, seconds: float) -> None:
    """End the PostgreSQL that still runs on a database folder of this host, if one does, and wait for its end.

    Args:
        data: PostgreSQL's own folder.
        seconds: to wait at most.

    Raises:
        StorageError: if it does not end in that time, or belongs to another user.
    """
    process = _server_of(data)
    if process is None:
        return
    _log.info(f"ending process {process.pid}, the server that a killed `hpo db serve` left behind in {data}")
    try:
        process.send_signal(signal.SIGINT)
        process.wait(seconds)
    except psutil.NoSuchProcess:
        return
    except (psutil.TimeoutExpired, psutil.AccessDenied):
        raise StorageError(
            f"process {process.pid}, a PostgreSQL server left behind in {data}, does not end; end it and try again"
        ) from None


def _server_of(data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        # The PID may have been given to another process since.
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
