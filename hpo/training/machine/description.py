"""What is known of a device; no torch here, so that every layer above can use it."""

from __future__ import annotations

from typing import TypedDict


class DeviceDescription(TypedDict):
    """A device.

    Attributes:
        name: of the card or the processor.
        cores: threads in use, or multiprocessors of a card.
        memory: bytes.
        precision: what the setting `auto` takes, bf16 or fp32.
    """

    name: str
    cores: int
    memory: int
    precision: str


class Inspection(DeviceDescription):
    """What a process of its own sees of a device, as it prints it.

    Attributes:
        device: cpu, cuda or cuda:N.
        free: bytes of a GPU that are free; None on a CPU.
        gpus: number of CUDA devices.
        torch: version of PyTorch.
        cuda: version of CUDA that it was built for; None for a CPU build.
    """

    device: str
    free: int | None
    gpus: int
    torch: str
    cuda: str | None
