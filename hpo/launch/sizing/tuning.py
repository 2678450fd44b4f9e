"""Choose the number of workers: as many as fit, on a GPU as long as more of them train more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hpo.text import memory
from hpo.training.probe.peak import Peak

_log = logging.getLogger(__name__)

LEAST_GAIN = 1.1
"""Least factor in samples per second that justifies more workers."""

MAIN_PART = 0.8
"""Share of main memory that the peaks of all workers may use."""

GPU_PART = 0.95
"""Share of a GPU's memory that its workers divide among themselves (`hpo.training.machine.device.limit_memory`)."""

_SPARE = 1.05


class MeasurementError(Exception):
    """A number of workers could not be measured, and why."""


@dataclass(frozen=True)
class Capacity:
    """The resources that the workers of one device share.

    Attributes:
        devices: number of devices that share the cores and the main memory.
        main: bytes, None if unknown.
        gpu: bytes of the GPU, None on a CPU.
        context: bytes of GPU memory that each process holds besides PyTorch's tensors.
    """

    cores: int
    main: int | None
    devices: int = 1
    gpu: int | None = None
    context: int = 0

    def most(self, peak: Peak) -> tuple[int, str]:
        """Return the largest number of workers per device to try, at least 1, and the limiting resource."""
        bounds = [(self.cores // self.devices, "a core for each worker")]
        if self.main is not None:
            each = f"{memory(peak.main)} of main memory for each worker"
            bounds.append((int(MAIN_PART * self.main / max(1, peak.main) / self.devices), each))
        if self.gpu is not None:
            each = f"{memory(peak.device)} of GPU memory for each worker"
            bounds.append((int(GPU_PART * self.gpu / (_SPARE * peak.device + self.context)), each))
        number, why = min(bounds)
        return max(1, number), why


@dataclass(frozen=True)
class TunedWorkers:
    """Workers per device, and the log lines of the choice. is_measured: whether one worker could be measured."""

    workers: int
    lines: tuple[str, ...]
    is_measured: bool = True


def tune_workers(
    rate: Callable[[int], float],
    most: tuple[int, str],
    *,
    in_time: Callable[[], bool] = lambda: True,
) -> TunedWorkers:
    """Find the number of workers beyond which more gain less than LEAST_GAIN in throughput, or do not fit.

    Returns 1 worker if nothing could be measured.

    Args:
        rate: samples per second of so many workers together; raises MeasurementError.
        most: the largest number to try, and why no more.
        in_time: whether there is time to try more.
    """
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        _log.info(line)

    best, best_rate = 1, 0.0
    for count in ladder(most[0]):
        if count > 1 and not in_time():
            note(f"{_workers(count)} were not measured: time is up")
            break
        try:
            found = rate(count)
        except MeasurementError as trouble:
            note(f"{_workers(count)} could not be measured: {trouble}")
            break
        gain = f", {found / best_rate:.2f} times as many as {best}" if best_rate else ""
        note(f"{_workers(count)} train {found:.3g} samples per second{gain}")
        if found < LEAST_GAIN * best_rate:
            break
        best, best_rate = count, found
    else:
        note(f"more were not tried; limit: {most[1]}")
    return TunedWorkers(best, tuple(lines), is_measured=best_rate > 0)


def ladder(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and `most` itself."""
    powers = [1 << power for power in range(most.bit_length())]
    return powers if powers[-1] == most else [*powers, most]


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''} per device"
