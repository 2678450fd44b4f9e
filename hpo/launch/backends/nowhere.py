"""Launch backend that starts no workers: they are attached by hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hpo.launch.backends.base import Backend, LaunchRequest, Submission
from hpo.text import shell

if TYPE_CHECKING:
    from hpo.search.study import Study

_log = logging.getLogger(__name__)


class NoWorkers(Backend):
    """Create the study without starting workers; the data are still checked."""

    def submit(self, study: Study, request: LaunchRequest) -> Submission:  # noqa: ARG002
        """Log how workers are attached."""
        _log.info(f"nothing was started; attach workers with `hpo worker {shell(study.name)}`")
        return Submission(job=None, workers=0)
