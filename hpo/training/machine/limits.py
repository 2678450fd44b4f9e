"""What this process may use of its machine, and a bound on its memory: affinity, cgroups, /proc; no PyTorch."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

SHARED_PART = 0.9
"""Share of the memory that workers divide among themselves; the rest is for the system and the command beside them."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")

_MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")

_trials = 0
_is_tainted = False


def usable_cores(own_groups: Path = _OWN_GROUPS, cgroups: Path = _CGROUPS) -> int:
    """Cores that this process may keep busy: those of its affinity, no more than its cgroups' CPU quota, at least 1.

    A quota of 1.5 cores counts as 1. Source: cgroup v2 cpu.max, v1 cpu.cfs_quota_us, in the kernel's admin guide.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(folder) for folder in _groups("cpu", own_groups, cgroups)]
    return max(1, min([cores, *(math.floor(quota) for quota in quotas if quota is not None)]))


def usable_memory(own_groups: Path = _OWN_GROUPS, cgroups: Path = _CGROUPS, memory: Path = _MEMORY) -> int | None:
    """Bytes of main memory that this process and its siblings may hold: the machine's or its cgroups'; None if unknown.

    All of it, whoever holds it now: whether a trial fits must not depend on what else runs at the moment.
    """
    limits = [_number(folder, name) for folder in _groups("memory", own_groups, cgroups) for name in _MEMORY_LIMITS]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(line for line in memory.read_text().splitlines() if line.startswith("MemTotal:"))
        limits.append(int(line.split()[1]) * 1024)
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def limit_main_memory(sharing: int) -> int | None:
    """Lets this process allocate its part of the memory of `sharing` workers and no more; the bytes, None if it cannot.

    More is refused by the kernel as an allocation that fails, which ends one trial, where the out-of-memory killer
    would take a process of its choice. Counted is private memory, written to or not, the stacks of threads included.
    """
    usable = usable_memory()
    if resource is None or usable is None:
        return None
    share = int(SHARED_PART * usable / sharing)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    share = share if most == resource.RLIM_INFINITY else min(share, most)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (share, most))
    return main_memory_limit()


def main_memory_limit() -> int | None:
    """Bytes that this process may allocate; None without a limit."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


class ProcessTainted(Exception):  # noqa: N818 - an event, not an error of the program
    """Memory was refused to a process that has trained other trials before: the trial is to be tried in a new one.

    What earlier trials freed in pieces counts against the limit, so that the trial may fit into a process of its own.
    """


def begin_trial() -> None:
    """Notes that this process begins another trial."""
    global _trials
    _trials += 1


def note_refusal() -> None:
    """Notes that memory was refused; raises ProcessTainted if this process is limited and this trial is not its first.

    Without a limit, as on CUDA, PyTorch frees what it refused with, and the process is as good as before.
    """
    global _is_tainted
    _is_tainted = main_memory_limit() is not None
    if _is_tainted and _trials > 1:
        raise ProcessTainted("memory was refused to it after it had trained other trials")


def process_is_tainted() -> bool:
    """Whether main memory was refused to this process, so that no other trial should be trained in it.

    After a refusal oneDNN keeps a primitive that it could not make, and fails each later trial that needs it
    (`tests/quirks/test_torch_memory.py`).
    """
    return _is_tainted


def _groups(controller: str, own_groups: Path, cgroups: Path) -> Iterator[Path]:
    """Folders of this process's cgroup and all above it, of version 2 and of the controller's own hierarchy.

    In a container the names are those outside of it, which are not there; what holds for it is then the topmost.
    """
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # v1 mounts cpu and cpuacct together, under both names.
        top = cgroups / controller if controllers else cgroups
        own = top / name.lstrip("/")
        while own != top:
            yield own
            own = own.parent
        yield top


def _quota(folder: Path) -> float | None:
    """Cores of a CPU quota; None without one."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    microseconds, of = (_number(folder, f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return microseconds / of if microseconds and of else None


def _number(folder: Path, name: str) -> int | None:
    """A positive number in a file; None where there is none, as `max` and -1 say."""
    with contextlib.suppress(OSError, ValueError):
        number = int((folder / name).read_text())
        return number if number > 0 else None
    return None
