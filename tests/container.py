"""A container in which processes have numbers of their own, made without an engine."""

from __future__ import annotations

import shutil
import subprocess

import pytest

_UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]


def in_container(*command: str) -> list[str]:
    """Return the command line that runs a command as the first process of a container with the name of this host.

    Skips the test where the kernel, or another container around it, allows none.
    """
    if shutil.which(_UNSHARE[0]) is None or subprocess.run([*_UNSHARE, "true"], check=False).returncode:
        pytest.skip("no container can be made here")
    return [*_UNSHARE, *command]
