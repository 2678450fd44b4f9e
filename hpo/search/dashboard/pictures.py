"""Pictures of studies and trials as optuna-dashboard's artifacts, drawn when they are looked at and stored nowhere."""

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
"""SVG text of a trial by its number, or of the study."""


class Pictures:
    """What the dashboard takes for the store of its artifacts."""

    def __init__(self, database: Database, draw: Draw) -> None:
        self._database, self._draw = database, draw
        self._one_at_a_time = threading.Lock()

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The picture of that name. Raises Optuna's ArtifactNotFound."""
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
        """Nothing is kept. Raises PermissionError."""
        raise PermissionError(f"artifact {artifact_id}: pictures are drawn here, files are not kept")

    def remove(self, artifact_id: str) -> None:
        """There is nothing to remove. Raises PermissionError."""
        raise PermissionError(f"artifact {artifact_id}: pictures are drawn here, none can be removed")


def picture_of_study(study_id: int) -> dict[str, str]:
    """The attribute by which the dashboard finds a study's picture."""
    name = f"{study_id:x}"
    return {f"artifacts:{name}": _described(name, "study.svg")}


def picture_of_trial(study_id: int, trial_id: int, number: int) -> dict[str, str]:
    """The attribute of the study by which the dashboard finds a trial's picture."""
    name = f"{study_id:x}-{number:x}"
    return {f"dashboard:artifacts:{trial_id}:{name}": _described(name, f"trial-{number}.svg")}


def _described(name: str, file: str) -> str:
    return json.dumps({"artifact_id": name, "filename": file, "mimetype": "image/svg+xml", "encoding": None})
