"""Derive independent random streams from one trial seed; no global generator is read or written."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive_seed(seed: int, *path: str | int) -> int:
    """Derive the 63-bit seed of the stream named by `path`, such as (fold, "batches", epoch); deterministic."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in path]
    state = np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator on `device`, seeded for the stream named by `path`."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *path))
