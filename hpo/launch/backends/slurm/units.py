"""Slurm's spellings of walltimes, memory and GPUs, read and written; a ValueError says what is legal."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TIMES = (
    r"(?P<minutes>\d+)(:(?P<seconds>\d{1,2}))?",
    r"(?P<hours>\d+):(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2})",
    r"(?P<days>\d+)-(?P<hours>\d{1,2})(:(?P<minutes>\d{1,2})(:(?P<seconds>\d{1,2}))?)?",
)
_SECONDS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
_MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


GPU_KIND = r"\w[\w.+-]*"
"""Form of a type of GPU; some clusters call theirs 3090, 2080ti or 1g.10gb."""


@dataclass(frozen=True)
class Gpus:
    """GPUs of one node that a job asks for. kind: as the cluster names it, None for any."""

    kind: str | None
    count: int

    def __str__(self) -> str:
        """Return the form of `--gres`."""
        return ":".join(["gpu", *([self.kind] if self.kind else []), str(self.count)])


def read_time(text: str) -> int:
    """Read a walltime in seconds: MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS[:MINUTES[:SECONDS]]."""
    for form in _TIMES:
        if match := re.fullmatch(form, text.strip()):
            return sum(int(value or 0) * _SECONDS[unit] for unit, value in match.groupdict().items())
    raise ValueError("write MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS")


def write_time(seconds: int) -> str:
    """Format as `1-12:00:00` or `02:00:00`."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


def read_memory(text: str) -> float:
    """Return the megabytes of 500M, 16G or 1T; a bare number is megabytes, as for Slurm."""
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text.strip().upper())
    if match is None or int(match[1]) == 0:
        raise ValueError("write a number with K, M, G or T, as 16G")
    return int(match[1]) * _MEGABYTES[match[2] or "M"]


def read_gres(text: str) -> Gpus | None:
    """Return the GPUs of `gpu`, `gpu:2`, `gpu:a100` or `gpu:3090:2`; None of `none`.

    As Slurm reads it, a number alone is a count.
    """
    if text.strip() == "none":
        return None
    match = re.fullmatch(rf"gpu(:(?P<kind>(?!\d+$){GPU_KIND}))?(:(?P<count>[1-9]\d*))?", text.strip())
    if match is None:
        raise ValueError("write gpu:TYPE:COUNT, gpu:COUNT, or none for a job without a GPU")
    return Gpus(match["kind"], int(match["count"] or 1))
