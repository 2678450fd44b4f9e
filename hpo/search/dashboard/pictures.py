"""Figures of studies and trials as artifacts of optuna-dashboard, drawn when viewed and never stored."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from hpo.errors import HpoError
from hpo.search.database.database import Database
from hpo.search.study import Study, find_study

Draw = Callable[[Study, int | None], str]
"""Returns the SVG figure of a trial by its number, or of the study if it is None."""

ArtifactMeta = dict[str, str | None]
"""Description of an artifact in the form of optuna-dashboard."""


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

        picture = Picture.of(artifact_id)
        if picture is None:
            raise ArtifactNotFound(f"artifact {artifact_id}: only figures are shown")
        try:
            study = find_study(self._database, picture.study_id)
            with self._one_at_a_time:
                drawn = self._draw(study, picture.number)
        except (HpoError, ValueError) as error:
            raise ArtifactNotFound(str(error)) from error
        return io.BytesIO(drawn.encode())

    def write(self, artifact_id: str, _content: BinaryIO) -> None:
        """Refuse to store a file: raise PermissionError."""
        raise PermissionError(f"artifact {artifact_id}: figures are generated, files cannot be stored")

    def remove(self, artifact_id: str) -> None:
        """Do nothing: a figure that is drawn when viewed leaves nothing to remove with its study."""


@dataclass(frozen=True)
class Picture:
    """The figure of a study or of a trial.

    Attributes:
        number: of the trial; None for the study.
    """

    study_id: int
    number: int | None = None

    @classmethod
    def of(cls, artifact_id: str) -> Picture | None:
        """Return the figure with that id of an artifact; None if it is none."""
        found = re.fullmatch(r"([0-9a-f]{1,8})(?:-([0-9a-f]{1,8}))?", artifact_id)
        if found is None:
            return None
        return cls(int(found[1], 16), int(found[2], 16) if found[2] else None)

    @property
    def meta(self) -> ArtifactMeta:
        """Its description as an artifact."""
        name, file = f"{self.study_id:x}", "study.svg"
        if self.number is not None:
            name, file = f"{name}-{self.number:x}", f"trial-{self.number}.svg"
        return {"artifact_id": name, "filename": file, "mimetype": "image/svg+xml", "encoding": None}
