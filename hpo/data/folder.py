"""The folder of the data files."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.files import expanded


def data_folder(option: str | None) -> Path:
    """Return the folder of `--data-dir`, else HPO_DATA_DIR, else MedMNIST's ~/.medmnist; it need not exist."""
    chosen = option or os.environ.get("HPO_DATA_DIR") or "~/.medmnist"
    return expanded(chosen)
