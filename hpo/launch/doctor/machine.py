"""Check this machine: the device as PyTorch sees it, and the installed packages."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from hpo import DISTRIBUTION, __version__
from hpo.errors import DeviceError, UsageError
from hpo.host import python_module
from hpo.launch.doctor.finding import Finding, fault, ok, warning
from hpo.training.machine.description import Inspection

DEVICE_SECONDS = 90.0
_GIB = 2**30
_LITTLE_MEMORY = 2 * _GIB
_SHOWN = ("torch", "libauc", "optuna", "sqlalchemy", "numpy", "scikit-learn", "medmnist")
_NVIDIA = Path("/dev/nvidia0")


def look_at_device(option: str, nvidia: Path = _NVIDIA) -> Iterator[Finding]:
    """Check the device of `--device`: existence, memory, whether it computes in bf16."""
    try:
        done = subprocess.run(
            [*python_module("hpo.training.machine.inspection"), option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEVICE_SECONDS - 5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield fault("device", "PyTorch did not start in time", "check `nvidia-smi`, or give --device cpu", DeviceError)
        return
    if done.returncode:
        last = (done.stderr.strip() or f"PyTorch exited with code {done.returncode}").splitlines()[-1]
        yield fault("device", last, "", DeviceError)
        return
    seen: Inspection = json.loads(done.stdout)
    text = (
        f"{seen['device']}: {seen['name']}, {seen['memory'] / _GIB:.0f} GiB, {seen['precision']}, torch {seen['torch']}"
    )
    if seen["free"] is not None and seen["free"] < _LITTLE_MEMORY:
        yield warning(
            "device", f"{text}, only {seen['free'] / _GIB:.1f} GiB free", "other processes use it: see `nvidia-smi`"
        )
    elif seen["device"] == "cpu" and option == "auto" and nvidia.exists():
        yield warning("device", f"{text}; there is a GPU ({nvidia}) that PyTorch does not see", _cure(seen["cuda"]))
    else:
        yield ok("device", text)


def look_at_packages() -> Iterator[Finding]:
    """Report the versions of Python, hpo and the main packages; a fault for each that is missing."""
    missing = [name for name in _required() if _version(name) is None]
    if missing:
        yield fault(
            "packages",
            f"{', '.join(missing)}: not installed",
            "in the folder of hpo's source: pip install -c requirements.lock .",
            UsageError,
        )
    there = ", ".join(f"{name} {found}" for name in _SHOWN if (found := _version(name)))
    yield ok("packages", f"hpo {__version__}, Python {platform.python_version()}, {there}")


def _cure(built_for: str | None) -> str:
    if built_for is None:
        return "this is PyTorch's CPU build; install its CUDA build"
    return f"check driver and CUDA_VISIBLE_DEVICES; PyTorch is built for CUDA {built_for}"


def _required() -> list[str]:
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    needed = [line for line in lines if "extra ==" not in line]
    return ["".join(_letters(line)) for line in needed]


def _letters(requirement: str) -> Iterator[str]:
    for letter in requirement:
        if not (letter.isalnum() or letter in "-_."):
            return
        yield letter


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
