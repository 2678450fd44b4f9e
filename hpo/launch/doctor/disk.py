"""Check the folders that a study reads and writes: free space, permissions, kind of file system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import DataError, OutputError
from hpo.files import expanded
from hpo.launch.doctor.finding import Finding, fault, ok, warning

_GIB = 2**30
LITTLE, TOO_LITTLE = 5 * _GIB, _GIB // 5
"""Free bytes below which there is a warning, and a fault. A trial of 5 folds in 2D has a checkpoint of about 1 GB, and
a second one while that is being written."""

_FEW_FILES = 1000


@dataclass(frozen=True)
class Folder:
    """A folder and its purpose. written: whether hpo writes there."""

    purpose: str
    path: Path
    written: bool = True


def look_at_disk(folders: list[Folder]) -> Iterator[Finding]:
    """Yield one finding per folder; for one that does not exist, check the nearest existing parent."""
    for folder in folders:
        yield _look(folder)


def _look(folder: Folder) -> Finding:
    from hpo.search.database.filesystem import file_system

    existing = _existing(folder.path)
    name = f"{folder.purpose} {folder.path}"
    kind = OutputError if folder.written else DataError
    try:
        free, files = shutil.disk_usage(existing).free, os.statvfs(existing)
    except OSError as error:
        return fault("disk", f"{name} cannot be inspected: {error.strerror}", "give another folder", kind)
    text = f"{name}: {free / _GIB:.1f} GiB free, file system {file_system(existing) or 'unknown'}"
    if folder.written and not existing.is_dir():
        return fault("disk", f"{name}: {existing} is a file", "give another folder", kind)
    if folder.written and not os.access(existing, os.W_OK | os.X_OK):
        return fault("disk", f"{name} is not writable", "request write permission, or give another folder", kind)
    if not folder.written:
        return ok("disk", text)
    if free < TOO_LITTLE:
        return fault("disk", text, "free some space, or give a folder on another disk", kind)
    # Some network file systems do not count files and report 0 of 0.
    if files.f_files and files.f_favail < _FEW_FILES:
        return warning("disk", f"{text}, only {files.f_favail} more files possible", "remove files, or move the folder")
    if free < LITTLE:
        return warning("disk", text, "free some space, or give a folder on another disk")
    return ok("disk", text)


def _existing(path: Path) -> Path:
    folder = expanded(path).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
