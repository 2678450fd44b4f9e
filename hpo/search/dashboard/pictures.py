"""Figures of studies and trials as artifacts of optuna-dashboard, drawn when viewed and never stored."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import BinaryIO

from hpo.errors import HpoError
from hpo.search.database.database import Database
from hpo.search.study import Study, find_study

Draw = Callable[[Study, int | None], str]
"""Returns the SVG figure of a trial by its number, or of the study if it is None."""


class Pictures:
    """Artifact store for the dashboard that draws each figure on request."""

    def __init__(self, database: Database, draw: Draw) -> None:
        self._database, self._draw = database, draw
        self._one_at_a_time = threading.Lock()

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Draw the figure of that id.

        Raises:
            ArtifactNotFound: Optuna's, if there is none.
        """
        from optuna.artifacts.exceptions import ArtifactNotFound

        study_id, _, number = artifact_id.partition("-")
        try:
            study = find_study(self._database, int(study_id, 16))
            with self._one_at_a_time:
                text = self._draw(study, int(number, 16) if number else None)
        except (HpoError, ValueError) as error:
            raise ArtifactNotFound(str(error)) from error
        return io.BytesIO(text.encode())

    def write(self, artifact_id: str, _content: BinaryIO) -> None:
        """Refuse to store a file: raise PermissionError."""
        raise PermissionError(f"artifact {artifact_id}: figures are generated, files cannot be stored")

    def remove(self, artifact_id: str) -> None:
        """Refuse to remove a file: raise PermissionError."""
        raise PermissionError(f"artifact {artifact_id}: figures are generated, none can be removed")


def picture_of_study(study_id: int) -> dict[str, str]:
    """Return the attribute by which the dashboard finds the figure of a study."""
    name = f"{study_id:x}"
    return {f"artifacts:{name}": _described(name, "study.svg")}


def picture_of_trial(study_id: int, trial_id: int, number: int) -> dict[str, str]:
    """Return the study attribute by which the dashboard finds the figure of a trial."""
    name = f"{study_id:x}-{number:x}"
    return {f"dashboard:artifacts:{trial_id}:{name}": _described(name, f"trial-{number}.svg")}


def _described(name: str, file: str) -> str:
    return json.dumps({"artifact_id": name, "filename": file, "mimetype": "image/svg+xml", "encoding": None})
