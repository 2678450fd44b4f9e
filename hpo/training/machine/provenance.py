"""Record the versions and device that a trial was trained with."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch

import hpo
from hpo.data.development import Development
from hpo.revision import code_version
from hpo.study.record import Provenance
from hpo.training.machine.device import choose_device, describe_device

_PACKAGES = ("torch", "libauc", "numpy", "medmnist", "optuna", "scikit-learn", "sqlalchemy")


def provenance(
    device: torch.device | str, data_md5: str, others: Mapping[str, Development] | None = None
) -> Provenance:
    """Describe the code, packages, device and data of trainings in this process.

    Args:
        others: datasets that some trials train on besides; their MD5s are told with the environment.
    """
    code, dirty = code_version()
    data = {f"data MD5 of {name}": other.md5 for name, other in sorted((others or {}).items())}
    return Provenance(code_version=code, dirty=dirty, environment=environment(device) | data, data_md5=data_md5)


def environment(device: torch.device | str) -> dict[str, str]:
    """Return Python, platform, versions of the main packages, and the device with its precision; all as text."""
    described = describe_device(device)
    values = {"python": platform.python_version(), "platform": platform.platform()}
    values |= {"hpo": hpo.__version__} | {package: _version(package) for package in _PACKAGES}
    values |= {f"device {key}": str(value) for key, value in described.items()}
    # A network on a CPU has one thread; how many are trained at the same time are the device's cores.
    threads = 1 if choose_device(str(device)).type == "cpu" else torch.get_num_threads()
    return values | {"threads": str(threads), "cuda": str(torch.version.cuda or "none")}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
