"""Which life a process is: its number alone comes back, on another host, after a restart, in another container."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def own_identity() -> str:
    """This process as `HOME/START`: HOME is the running kernel and its namespace of processes, START in clock ticks.

    Empty where the system does not tell.
    """
    home = _home()
    started = start_time(os.getpid())
    return f"{home}/{started}" if home and started else ""


def visible_identity_prefix() -> str:
    """What the life of every process begins with whose end this process can see; empty if it can see none."""
    home = _home()
    return f"{home}/" if home else ""


def has_ended(process: int, life: str) -> bool:
    """Whether a process of this home has ended; false for one whose end cannot be seen from here."""
    home, _, started = life.rpartition("/")
    if not home or home != _home():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Another user's: /proc may hide it, and it runs.
        return False
    return start_time(process) != started


def _home() -> str:
    try:
        return f"{_BOOT.read_text().strip()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def start_time(process: int) -> str | None:
    """Return when a process started, in clock ticks since boot; None if there is none, or only a zombie."""
    try:
        # The name, in parentheses, may hold blanks; state is the third field of proc(5), the start the 22nd.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
