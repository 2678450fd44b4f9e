"""Where the data files lie."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(option: str | None) -> Path:
    """The folder of `--data-dir`, else of HPO_DATA_DIR, else MedMNIST's own, ~/.medmnist; it need not exist."""
    chosen = option or os.environ.get("HPO_DATA_DIR") or "~/.medmnist"
    return Path(chosen).expanduser()
