"""What a process asks of the system it runs on, where Linux and macOS answer in different ways."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_SOURCE = Path(__file__).parent.parent


def affinity_cores() -> int:
    """Return the cores that this process may run on; all of the machine where it has no affinity, as on macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def module_options() -> list[str]:
    """Return the options before `-m` with which a new Python runs the hpo of this process.

    Not from the current folder, which `-m` looks at first: a file `statistics.py` there would take the place of
    Python's, and a checkout of hpo that of the installed one.
    """
    try:
        return [] if Path.cwd() == _SOURCE else ["-P"]
    except OSError:
        return ["-P"]


def python_module(module: str) -> list[str]:
    """Return the command that runs a module of hpo with this Python, see `module_options`."""
    return [sys.executable, *module_options(), "-m", module]


def installed_memory() -> int | None:
    """Return the bytes of main memory of the machine; None if unknown."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def pass_on_niceness() -> None:
    """Give the session that this process leads its own niceness, so that `nice` counts beside other sessions.

    Linux shares the cores out among sessions first (sched_autogroup in sched(7)); a niceness counts within one only. A
    process that leads no session, such as one in a shell's, changes nothing for the others in it.
    """
    if os.getsid(0) == os.getpid() and (niceness := os.nice(0)):
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness))
