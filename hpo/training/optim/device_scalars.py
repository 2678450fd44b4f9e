"""Numbers that change from step to step, on the host or where a step recorded as a CUDA graph can read them."""

from __future__ import annotations

import torch
from torch import Tensor

Number = float | Tensor


class DeviceScalars:
    """Numbers by name: floats, or 0-d tensors of the type and device of `like`, changed in place without waiting."""

    def __init__(self, like: Tensor | None = None) -> None:
        self._like = like
        self._floats: dict[str, float] = {}
        self._tensors: dict[str, Tensor] = {}

    def put(self, name: str, value: float) -> None:
        """Sets a number; nothing is sent to the device where it is as it was."""
        if self._like is not None:
            if name not in self._tensors:
                self._tensors[name] = torch.empty((), dtype=self._like.dtype, device=self._like.device)
            if self._floats.get(name) != value:
                self._tensors[name].fill_(value)
        self._floats[name] = value

    def __getitem__(self, name: str) -> Number:
        """The number as it is now; as a tensor, as it will be whenever it is read."""
        return self._floats[name] if self._like is None else self._tensors[name]
