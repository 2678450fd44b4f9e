"""`Peak`: the memory of one worker, as it was measured; no torch here, so that what divides a device can use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peak:
    """Bytes that one worker holds at most: of main memory, and of its GPU (0 on a CPU)."""

    main: int
    device: int = 0
