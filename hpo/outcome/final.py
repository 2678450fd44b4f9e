"""A final result as files: what was trained and how it was chosen, and the scores on the test rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, OutputError
from hpo.files import atomic_write

RESULT, SCORES = "final.json", "scores.npz"

DEFAULT_RESULTS = Path("hpo-results")
"""Folder of the folders of final results, in the current folder."""


@dataclass(frozen=True, eq=False)
class Final:
    """A final result as it is stored. scores: by entry, (seeds, N, L) on the test rows; labels: (N, L), 0 or 1.

    about: everything else, plain values: see `final.json`.
    """

    about: dict[str, Any]
    scores: dict[str, NDArray[np.float32]]
    labels: NDArray[np.uint8]


def results_folder(study: str, option: Path | None = None) -> Path:
    """The folder of a study's final result: `option`, else hpo-results/STUDY."""
    return option or DEFAULT_RESULTS / study


def store(final: Final, folder: Path) -> None:
    """Writes final.json and scores.npz. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = list(final.scores)
        arrays: dict[str, Any] = {f"scores_{number}": final.scores[name] for number, name in enumerate(names)}
        with atomic_write(folder / SCORES) as part, part.open("wb") as file:
            np.savez_compressed(file, labels=final.labels, **arrays)
        with atomic_write(folder / RESULT) as part:
            part.write_text(json.dumps(final.about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give --out with another folder") from None


def load(folder: Path) -> Final | None:
    """The final result in a folder, or None if there is none yet. Raises DataError if it cannot be read."""
    if not (folder / RESULT).exists():
        return None
    try:
        about = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        with np.load(folder / SCORES, allow_pickle=False) as arrays:
            names = [entry["name"] for entry in about["entries"]]
            scores = {name: arrays[f"scores_{number}"] for number, name in enumerate(names)}
            return Final(about, scores, arrays["labels"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds a final result that cannot be read: {error}") from None
