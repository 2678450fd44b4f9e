"""Where a study keeps what is not in its database."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "HPO_CHECKPOINT_DIR"
DEFAULT = "hpo-checkpoints"
NOWHERE = "none"


def checkpoint_folder(option: str | None, study_folder: str) -> Path | None:
    """The folder of a study's checkpoints, not made yet: `option`, else HPO_CHECKPOINT_DIR, else hpo-checkpoints here.

    study_folder: the study's own name for a folder. None if the word is `none`: no checkpoints are kept.
    """
    named = option or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT
    return None if named == NOWHERE else Path(named).expanduser().absolute() / study_folder
