"""What a process asks of the system it runs on, where Linux and macOS answer in different ways."""

from __future__ import annotations

import contextlib
import os


def affinity_cores() -> int:
    """Return the cores that this process may run on; all of the machine where it has no affinity, as on macOS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed_memory() -> int | None:
    """Return the bytes of main memory of the machine; None if unknown."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
