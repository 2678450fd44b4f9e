"""The version of the code that runs: a commit of a checkout, or that of the installed package."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from hpo import __version__

_SECONDS = 10


@cache
def code_version() -> tuple[str, bool]:
    """Commit of the checkout that this code runs from, and whether the package has uncommitted or new files.

    The version of the package, and False, where it is installed without a checkout or git is missing. Asked once per
    process, which goes on with the code that it has loaded.
    """
    folder = Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    if commit is None or tracked is None:
        return __version__, False
    return commit, bool(_git(folder, "status", "--porcelain", "--", "."))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
