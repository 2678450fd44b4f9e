"""Identify a process uniquely: a PID alone is reused, after a reboot, on other hosts and in other containers.

Without Linux's /proc a process has no such identity: a worker that died is then found by its missing heartbeats only.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_PROC = Path("/proc")
_BOOT = Path("sys/kernel/random/boot_id")
_NAMESPACE = Path("self/ns/pid")

_NAMESPACE_OF_HOST = 0xEFFFFFFC
"""Number of the PID namespace of a host itself: PROC_PID_INIT_INO of Linux, include/linux/proc_ns.h."""


def own_host() -> str:
    """Return the name of this host; in a container that numbers its processes by itself, HOST-NAMESPACE.

    Such a container may have the name of its host, and its processes the PIDs of those in another one.
    """
    name = os.uname().nodename
    try:
        namespace = (_PROC / _NAMESPACE).stat().st_ino
    except OSError:
        return name
    return name if namespace == _NAMESPACE_OF_HOST else f"{name}-{namespace}"


def own_identity() -> str:
    """Return the identity of this process, BOOT/NAMESPACE/START: boot id, PID namespace, start time in clock ticks.

    Empty if it cannot be determined.
    """
    scope = _pid_scope()
    started = start_time(os.getpid())
    return f"{scope}/{started}" if scope and started else ""


def visible_identity_prefix() -> str:
    """Return the prefix shared by the identities of all processes in this PID namespace; empty if it is unknown."""
    scope = _pid_scope()
    return f"{scope}/" if scope else ""


def has_ended(process: int, identity: str) -> bool:
    """Return whether a process of this PID namespace has ended; False for processes of other namespaces.

    Args:
        process: its PID.
        identity: its identity, see `own_identity`.
    """
    scope, _, started = identity.rpartition("/")
    if not scope or scope != _pid_scope():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # It is another user's process: /proc may hide it, but it is running.
        return False
    return start_time(process) != started


def _pid_scope() -> str:
    try:
        return f"{(_PROC / _BOOT).read_text().strip()}/{(_PROC / _NAMESPACE).stat().st_ino}"
    except OSError:
        return ""


def start_time(process: int) -> str | None:
    """Return when a process started, in clock ticks since boot; None if there is none, or only a zombie.

    Without /proc in seconds since 1970, and empty for a process that may not be looked at.
    """
    try:
        # The name, in parentheses, may contain blanks. State is field 3 of proc(5), start time field 22.
        fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if _pid_scope() else _start_time_without_proc(process)
    return None if fields[0] in "ZX" else fields[19]


def _start_time_without_proc(process: int) -> str | None:
    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else repr(found.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ""
