"""Launch backend that starts no workers: they are attached by hand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hpo.errors import StorageError, StudyNotFoundError
from hpo.launch.backends.base import Backend, LaunchRequest, Submission
from hpo.search.study import open_named_study
from hpo.text import shell

if TYPE_CHECKING:
    from hpo.search.study import Study
    from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)


class NoWorkers(Backend):
    """Create the study without starting workers; the data of a new one are still checked."""

    def check(self, spec: StudySpec, request: LaunchRequest) -> None:
        """Check the data of a study that is not there yet: of one that is, only its workers need them."""
        try:
            open_named_study(request.study, request.storage)
        except (StudyNotFoundError, StorageError):
            super().check(spec, request)

    def submit(self, study: Study, request: LaunchRequest) -> Submission:  # noqa: ARG002
        """Log how workers are attached."""
        _log.info(f"nothing was started; attach workers with `hpo worker {shell(study.name)}`")
        return Submission(job=None, workers=0)
