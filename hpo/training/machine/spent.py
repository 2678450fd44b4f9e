"""What a training takes over all its lives: wall time, memory, and energy where the device tells it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from hpo.training.machine.device import peak_memory_bytes
from hpo.training.machine.energy import EnergyMeter


class Spent:
    """Counts from when it is made, on top of what earlier lives of the same training had spent."""

    def __init__(self, device: torch.device, before: Mapping[str, float]) -> None:
        self._device, self._before = device, dict(before)
        self._began, self._meter = time.monotonic(), EnergyMeter(device)

    def so_far(self) -> dict[str, float]:
        """seconds; peak_memory in bytes and energy_joules where the device tells. Read it once an epoch or so."""
        spent = {"seconds": self._before.get("seconds", 0.0) + time.monotonic() - self._began}
        if peak := peak_memory_bytes(self._device):
            spent["peak_memory"] = max(self._before.get("peak_memory", 0), peak)
        if (joules := self._meter.joules()) is not None:
            spent["energy_joules"] = self._before.get("energy_joules", 0.0) + joules
        return spent
