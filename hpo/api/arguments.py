"""What the functions of the interface do with their arguments."""

from __future__ import annotations

from pathlib import Path

from hpo.revision import code_version


def as_text(path: str | Path | None) -> str | None:
    """Return a path as text, and None for None."""
    return None if path is None else str(path)


def running_code() -> str:
    """Return the version of the code, as studies that it creates store it."""
    return code_version()[0]
