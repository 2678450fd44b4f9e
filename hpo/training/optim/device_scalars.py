"""Hold numbers that change every step, on the host, or on the device for steps recorded as a CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


class DeviceScalars:
    """Numbers by name: floats, or 0-d tensors of `like`'s type and device, changed in place without synchronisation."""

    def __init__(self, like: Tensor | None = None) -> None:
        self._like = like
        self._floats: dict[str, float] = {}
        self._tensors: dict[str, Tensor] = {}

    def put(self, name: str, value: float) -> None:
        """Set a number; skip the copy to the device if it is unchanged."""
        if self._like is not None:
            if name not in self._tensors:
                self._tensors[name] = torch.empty((), dtype=self._like.dtype, device=self._like.device)
            if self._floats.get(name) != value:
                self._tensors[name].fill_(value)
        self._floats[name] = value

    def __getitem__(self, name: str) -> Number:
        """Return the current number; a tensor follows later changes."""
        return self._floats[name] if self._like is None else self._tensors[name]
