"""Slurm as a launch backend."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.errors import UsageError
from hpo.launch.backends.base import Backend, Cancelled, Jobs, LaunchRequest, Submission
from hpo.launch.backends.local import AUTO, warn_of_checkpoints
from hpo.launch.backends.slurm.plan import SlurmOptions
from hpo.launch.backends.slurm.queue import ask, count_ending, read_queue, states
from hpo.launch.backends.slurm.stop import cancel_jobs
from hpo.launch.backends.slurm.submit import Prepared, prepare, submit_study
from hpo.text import shell

if TYPE_CHECKING:
    from hpo.search.study import Study
    from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)


def prepare_request(request: LaunchRequest) -> Prepared:
    """Make the job for a request; nothing is stored. Raises UsageError, StorageError, OutputError."""
    options = request.options or SlurmOptions()
    if not isinstance(options, SlurmOptions):
        raise UsageError(f"slurm takes SlurmOptions, not {type(options).__name__}")
    return prepare(
        request.study,
        replace(options, workers=request.workers, workers_per_gpu=request.workers_per_gpu),
        storage=request.storage,
        data_dir=request.data_dir,
        checkpoint_dir=request.checkpoint_dir,
        log_dir=request.log_dir,
        device=request.device,
        reporters=request.reporters,
    )


class SlurmBackend(Backend):
    """Workers in an array of Slurm jobs, which outlive the process that submits them."""

    def __init__(self) -> None:
        self._job: Prepared | None = None

    def check(self, spec: StudySpec, request: LaunchRequest) -> None:
        """Raise UsageError with everything that the cluster would not grant, then what is wrong with the data."""
        self._job = prepare_request(request)
        super().check(spec, replace(request, data_dir=self._job.plan.command.data_dir))
        warn_of_checkpoints(spec, request.checkpoint_dir)

    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        """Submit the jobs that are still missing, as an array, and record it in the study."""
        from hpo.search.queries.status import read_status
        from hpo.search.queue.workers import read_jobs

        job = self._job or prepare_request(request)
        arrays = read_jobs(study)
        answer = ask(arrays)
        queue = states(arrays, answer)
        waiting, running = (sum(getattr(state, what) or 0 for state in queue.jobs) for what in ("waiting", "running"))
        # The same command after `hpo stop` is to go on when those have ended.
        ending = count_ending(study, answer.tasks) if running else 0
        missing = job.plan.tasks - waiting - running + ending
        if queue.trouble is not None:
            _log.warning(f"jobs of this study that wait or run are not known and not counted: {queue.trouble}")
        elif waiting or running:
            more = f"submitting {missing} more" if missing > 0 else "none is submitted; more jobs: a larger --workers"
            last = f", {ending} of them to the end of their trials only, after `hpo stop`" if ending else ""
            _log.info(f"{waiting} jobs of this study wait and {running} run already{last}; {more}")
        if missing <= 0:
            return Submission(job=None, workers=0)
        done = submit_study(study, job.with_tasks(missing))
        each = f", {job.plan.workers} workers in each" if job.plan.workers > 1 else ""
        if job.plan.per_device == AUTO:
            each = ", each with the number of workers that it measures to be fastest"
        _log.info(f"job {done.job} on {done.cluster}: {done.tasks} in its array{each}; logs in {done.log_dir}")
        status = read_status(study)
        left = status.budget - status.finished
        if job.plan.per_device != AUTO and done.workers > left:
            _log.info(f"more workers than the {left} remaining trials")
        _log.info(f"look: hpo status --watch {shell(study.name)}; end: hpo stop {shell(study.name)}")
        return done

    def status(self, study: Study) -> Jobs:
        """Return the state of the study's arrays in Slurm."""
        from hpo.search.queue.workers import read_jobs

        return read_queue(read_jobs(study))

    def cancel(self, study: Study, *, spared: Collection[str] | None = None) -> Cancelled:
        """Cancel jobs of the study's arrays on this cluster."""
        return cancel_jobs(study, spared)
