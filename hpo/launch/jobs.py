"""Return the jobs of a study on every backend, for views: never an error."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hpo.launch.backends.base import BACKENDS, Jobs

if TYPE_CHECKING:
    from hpo.search.study import Study

REFRESH_SECONDS = 20.0
"""Seconds between two queries of a live view to the backends; Slurm's controller serves a whole cluster."""


def jobs_of(study: Study) -> Jobs:
    """Return the study's jobs on every backend, each asked once."""
    answers = [_ask(name, study) for name in BACKENDS.names()]
    troubles = [answer.trouble for answer in answers if answer.trouble is not None]
    return Jobs(tuple(job for answer in answers for job in answer.jobs), "; ".join(troubles) or None)


def _ask(name: str, study: Study) -> Jobs:
    try:
        answer = BACKENDS.find(name)().status(study)
        if not isinstance(answer, Jobs):
            raise TypeError(f"status returned {answer!r}, not hpo.Jobs")
        return answer
    except Exception as error:
        # A plug-in that fails must not hide the study.
        return Jobs(trouble=f"backend {name}: {error}")


class JobWatch:
    """The same for a live view: backends are asked periodically, in the background."""

    def __init__(self, every: float = REFRESH_SECONDS) -> None:
        self._every = every
        self._jobs = Jobs()
        self._asked = float("-inf")
        self._thread: threading.Thread | None = None

    def look(self, study: Study) -> Jobs:
        """Return the last answer; ask again in the background if it is old."""
        due = time.monotonic() - self._asked >= self._every
        if due and (self._thread is None or not self._thread.is_alive()):
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._ask, args=(study,), name="hpo-jobs", daemon=True)
            self._thread.start()
        return self._jobs

    def _ask(self, study: Study) -> None:
        self._jobs = jobs_of(study)
