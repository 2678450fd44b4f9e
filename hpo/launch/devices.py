"""Choose the devices that the workers of a machine share."""

from __future__ import annotations


def devices_of(device: str, gpus: int) -> tuple[str, ...]:
    """Return the devices that workers share: for `auto` every GPU, if there is one."""
    return tuple(f"cuda:{number}" for number in range(gpus)) if device == "auto" and gpus else (device,)
