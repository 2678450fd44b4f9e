"""What a trial was trained with: versions, device, and the code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import hpo
from hpo.training.machine.device import describe_device

_PACKAGES = ("torch", "libauc", "numpy", "medmnist", "optuna", "scikit-learn", "sqlalchemy")
_SECONDS = 10


def environment(device: torch.device | str) -> dict[str, str]:
    """Python, platform, versions of the packages that matter, and the device with its precision; all as text."""
    described = describe_device(device)
    values = {"python": platform.python_version(), "platform": platform.platform()}
    values |= {"hpo": hpo.__version__} | {package: _version(package) for package in _PACKAGES}
    values |= {f"device {key}": str(value) for key, value in described.items()}
    return values | {"threads": str(torch.get_num_threads()), "cuda": str(torch.version.cuda or "none")}


def code_version() -> tuple[str, bool]:
    """Commit of the checkout that this code runs from, and whether the package has uncommitted or new files.

    The version of the package, and False, where it is installed without a checkout or git is missing.
    """
    folder = Path(hpo.__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    if commit is None or tracked is None:
        return hpo.__version__, False
    return commit, bool(_git(folder, "status", "--porcelain", "--", "."))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
