"""Describe the Slurm job that this process runs in: its name and when it ends."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

_SECONDS = 10
"""Seconds that `squeue` may take to answer."""

_LATE_SECONDS = 3600
"""Seconds for which a job may outlive the end that its variables tell, by another clock or a grace time of Slurm."""

_TIME_LEFT = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True)
class Allocation:
    """A Slurm job, seen from inside.

    Attributes:
        label: JOB_TASK for an array, else JOB, as `squeue` shows it.
        restarts: how often it was requeued before this attempt.
        ends: end of its walltime, in seconds since 1970 on this node's clock; None without a limit or if unknown.
    """

    array_task: int | None
    label: str
    node: str
    restarts: int
    ends: float | None

    def seconds_left(self) -> float | None:
        """Return the seconds until its walltime ends; None without a limit or if unknown."""
        return None if self.ends is None else self.ends - time.time()


def current_allocation(environment: Mapping[str, str] = os.environ) -> Allocation | None:
    """Return the job of this process, from Slurm's environment variables; None outside of one.

    If Slurm does not set the end of the walltime there (22.05 does not), `squeue` is asked once.
    """
    job = environment.get("SLURM_JOB_ID")
    if not job:
        return None
    task = environment.get("SLURM_ARRAY_TASK_ID")
    label = f"{environment.get('SLURM_ARRAY_JOB_ID', job)}_{task}" if task else job
    return Allocation(
        array_task=_number(task),
        label=label,
        node=environment.get("SLURMD_NODENAME") or os.uname().nodename,
        restarts=_number(environment.get("SLURM_RESTART_COUNT")) or 0,
        ends=_end(environment, label),
    )


def read_time_left(text: str) -> float | None:
    """Parse the time left as `squeue` prints it, 59:58, 1:02:03 or 1-02:03:04, to seconds; None for UNLIMITED etc."""
    match = _TIME_LEFT.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _end(environment: Mapping[str, str], label: str) -> float | None:
    end = _number(environment.get("SLURM_JOB_END_TIME"))
    # A shell that outlives its job, as in tmux, keeps the variables.
    if end and end > time.time() - _LATE_SECONDS:
        return float(end)
    # Ask by label: the last task of an array has the array's job ID, for which squeue would list all tasks.
    command = ["squeue", "--noheader", "--jobs", label, "--format", "%L"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    left = read_time_left(answer.stdout) if answer.returncode == 0 else None
    return None if left is None else time.time() + left


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None
