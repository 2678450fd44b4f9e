"""A small disk that can be filled: a tmpfs, where the user may mount one."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

MEBIBYTES = 96


class SmallDisk:
    """A folder on a disk of its own; `fillable` is false where none may be mounted, and the folder is a plain one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(folder)]
        try:
            self.fillable = subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            self.fillable = False
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Takes what room there is."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            for block in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * block) == block:
                        pass

    def free(self) -> None:
        """Gives the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it."""
        if self.fillable:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)
            self.fillable = False
