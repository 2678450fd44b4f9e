"""Define `Peak`, the measured memory of one worker; without torch, so that code that divides a device can use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peak:
    """Peak bytes of one worker: of main memory, and of its GPU (0 on a CPU)."""

    main: int
    device: int = 0
