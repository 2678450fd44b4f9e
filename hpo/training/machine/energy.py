"""Read a device's energy counter: NVIDIA GPUs from Volta on, and CPUs with RAPL."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path

import torch

_RAPL = Path("/sys/class/powercap")
_PACKAGE = "intel-rapl:*"
"""One folder per CPU package; subdomains have a second number and would be counted twice. AMD uses the same names.
Source: the kernel's admin guide, power capping framework."""


class EnergyMeter:
    """Energy used by a whole device, by all its users, since the meter was created.

    A CPU's counter wraps around every few minutes under load, so read it more often than that.
    """

    def __init__(self, device: torch.device, rapl: Path = _RAPL) -> None:
        self._counters = [_card(device)] if device.type == "cuda" else [_package(folder) for folder in _packages(rapl)]
        self._joules = 0.0
        self._last = [read() for read, _ in self._counters]

    def joules(self) -> float | None:
        """Return the joules so far; None if the device has no readable counter."""
        now = [read() for read, _ in self._counters]
        known = [
            (new - old) % around
            for new, old, (_, around) in zip(now, self._last, self._counters, strict=True)
            if new is not None and old is not None
        ]
        if not known:
            return None
        self._joules += sum(known)
        self._last = now
        return self._joules


Counter = tuple[Callable[[], float | None], float]
"""A function that reads joules, None if it cannot, and the value at which the counter wraps around."""


def _card(device: torch.device) -> Counter:
    try:
        import pynvml
    except ImportError:  # energy is optional
        return lambda: None, math.inf

    def read() -> float | None:
        try:
            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(card)) / 1e3
        except pynvml.NVMLError:
            return None

    return read, math.inf


def _package(folder: Path) -> Counter:
    counter = folder / "energy_uj"

    def read() -> float | None:
        with contextlib.suppress(OSError, ValueError):
            return int(counter.read_text()) / 1e6
        return None

    return read, int((folder / "max_energy_range_uj").read_text()) / 1e6


def _packages(rapl: Path) -> list[Path]:
    """Return the folders of CPU packages whose counter this user may read; since 2020 Linux restricts it to root."""
    found = []
    for folder in sorted(rapl.glob(_PACKAGE)):
        with contextlib.suppress(OSError, ValueError):
            if folder.name.count(":") == 1 and (folder / "name").read_text().startswith("package"):
                int((folder / "energy_uj").read_text()), int((folder / "max_energy_range_uj").read_text())
                found.append(folder)
    return found
