"""The devices that the workers of a machine share out."""

from __future__ import annotations


def devices_of(device: str, gpus: int) -> tuple[str, ...]:
    """The devices that workers of an option share out: every GPU for `auto`, if there is one."""
    return tuple(f"cuda:{number}" for number in range(gpus)) if device == "auto" and gpus else (device,)
