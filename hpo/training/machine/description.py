"""Describe a device; without torch, so that every layer above can use it."""

from __future__ import annotations

from typing import TypedDict


class DeviceDescription(TypedDict):
    """A device.

    Attributes:
        name: of the GPU or the CPU.
        cores: that this process trains networks on, or multiprocessors of a GPU.
        memory: bytes.
        precision: what the setting `auto` resolves to, bf16 or fp32.
    """

    name: str
    cores: int
    memory: int
    precision: str


class Inspection(DeviceDescription):
    """A device as seen and printed by a separate process.

    Attributes:
        device: cpu, cuda or cuda:N.
        free: bytes of a GPU that are free; None on a CPU.
        gpus: number of CUDA devices.
        torch: version of PyTorch.
        cuda: version of CUDA that PyTorch was built for; None for a CPU build.
    """

    device: str
    free: int | None
    gpus: int
    torch: str
    cuda: str | None
