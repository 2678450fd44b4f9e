"""Find the cores and memory that this process may use, and limit its memory: affinity, cgroups, /proc; no PyTorch."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from hpo.host import affinity_cores, installed_memory

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

SHARED_PART = 0.9
"""Share of memory divided among workers; the rest is for the system and the command that started them."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")

_MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")

_cores: int | None = None
_trials = 0
_is_tainted = False


def usable_cores(own_groups: Path = _OWN_GROUPS, cgroups: Path = _CGROUPS) -> int:
    """Return the cores that this process may keep busy: its affinity, capped by its cgroups' CPU quota, at least 1.

    A quota of 1.5 cores counts as 1. Source: cgroup v2 cpu.max, v1 cpu.cfs_quota_us, in the kernel's admin guide.
    """
    quotas = [_quota(folder) for folder in _groups("cpu", own_groups, cgroups)]
    return max(1, min([affinity_cores(), *(math.floor(quota) for quota in quotas if quota is not None)]))


def use_cores(cores: int | None) -> None:
    """Set the number of cores on which this process trains networks at the same time; None for `usable_cores`."""
    global _cores
    _cores = cores


def process_cores() -> int:
    """Return the number of cores on which this process trains networks at the same time, each with one thread."""
    return usable_cores() if _cores is None else _cores


def usable_memory(own_groups: Path = _OWN_GROUPS, cgroups: Path = _CGROUPS, memory: Path = _MEMORY) -> int | None:
    """Return the bytes of main memory for this process and its siblings, of machine or cgroups; None if unknown.

    Total, not free, memory: whether a trial fits must not depend on what else runs at the moment.
    """
    limits = [_number(folder, name) for folder in _groups("memory", own_groups, cgroups) for name in _MEMORY_LIMITS]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(line for line in memory.read_text().splitlines() if line.startswith("MemTotal:"))
        limits.append(int(line.split()[1]) * 1024)
    if not memory.exists():
        limits.append(installed_memory())
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def limit_main_memory(sharing: int) -> int | None:
    """Limit this process to one share of memory divided by `sharing` workers. Returns bytes, None if unsupported.

    Beyond it the kernel fails an allocation, which ends one trial, whereas the out-of-memory killer would kill a
    process of its choice. The limit counts private memory, written to or not, thread stacks included. Only Linux
    counts what is mapped; elsewhere the limit would hold for next to nothing, and there is none.
    """
    usable = usable_memory()
    if resource is None or usable is None or sys.platform != "linux":
        return None
    share = int(SHARED_PART * usable / sharing)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    share = share if most == resource.RLIM_INFINITY else min(share, most)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (share, most))
    return main_memory_limit()


def main_memory_limit() -> int | None:
    """Return the bytes that this process may allocate; None without a limit."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


class ProcessTainted(Exception):  # noqa: N818 - an event, not an error of the program
    """A process that has trained other trials ran out of memory: retry the trial in a new process.

    Memory fragmented by earlier trials counts against the limit, so the trial may fit into a process of its own.
    """


def begin_trial() -> None:
    """Record that this process starts another trial."""
    global _trials
    _trials += 1


def note_refusal() -> None:
    """Record a refused allocation. Raises ProcessTainted if this process is limited and has trained other trials.

    Without a limit, as on CUDA, PyTorch frees its cache before it gives up, so the process remains usable.
    """
    global _is_tainted
    _is_tainted = main_memory_limit() is not None
    if _is_tainted and _trials > 1:
        raise ProcessTainted("memory was refused to it after it had trained other trials")


def process_is_tainted() -> bool:
    """Return whether a main-memory allocation was refused, so that this process should train no other trial.

    After a refusal oneDNN caches the primitive that it could not create, and fails each later trial that needs it
    (`tests/quirks/test_torch_memory.py`).
    """
    return _is_tainted


def _groups(controller: str, own_groups: Path, cgroups: Path) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and its ancestors, of version 2 and of the controller's v1 hierarchy.

    In a container the names are those of the host and do not exist inside; the topmost folder then applies.
    """
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # cgroup v1 mounts cpu and cpuacct together, under both names.
        top = cgroups / controller if controllers else cgroups
        own = top / name.lstrip("/")
        while own != top:
            yield own
            own = own.parent
        yield top


def _quota(folder: Path) -> float | None:
    """Return the cores of a CPU quota; None without one."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    microseconds, of = (_number(folder, f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return microseconds / of if microseconds and of else None


def _number(folder: Path, name: str) -> int | None:
    """Read a positive number from a file; None if there is none, which `max` and -1 mean too."""
    with contextlib.suppress(OSError, ValueError):
        number = int((folder / name).read_text())
        return number if number > 0 else None
    return None
