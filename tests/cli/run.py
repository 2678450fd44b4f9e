"""Runs the command as a user does: a process of its own, with a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def hpo(*arguments: str, cwd: Path, timeout: float = 400, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hpo ARGUMENTS` in a folder; HPO_* variables only as given."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HPO_")}
    return subprocess.run(
        [sys.executable, "-m", "hpo", *arguments],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
