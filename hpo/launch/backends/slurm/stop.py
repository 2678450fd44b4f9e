"""Ending the work on a study: its workers are asked to end, its jobs that have not started are cancelled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.launch.backends.slurm import client

if TYPE_CHECKING:
    from hpo.search.study import Study


@dataclass(frozen=True)
class Stopped:
    """What was done. asked: workers that live, as far as the database knows; waiting, running: jobs cancelled.

    trouble: what Slurm did not do, one sentence each; elsewhere: arrays of other clusters, CLUSTER:JOB.
    """

    asked: int
    waiting: int
    running: int
    elsewhere: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def stop_study(study: Study, *, at_once: bool, cancel_running: bool) -> Stopped:
    """Asks every worker of the study to end, and cancels its jobs that wait, or all of them.

    Jobs that wait are cancelled before and after the request, so that none of them starts a worker that came too late
    to be asked. A job that runs without a worker that lives (it begins, or is about to go back into the queue) holds no
    trial and is cancelled too.
    """
    from hpo.search.queue.workers import read_jobs, read_workers, request_stop

    jobs = read_jobs(study)
    trouble: list[str] = []
    here: list[str] = []
    elsewhere: list[str] = []
    if jobs:
        try:
            cluster = client.cluster_name()
            here = [row.job for row in jobs if row.cluster == cluster]
            elsewhere = [f"{row.cluster}:{row.job}" for row in jobs if row.cluster != cluster]
        except HpoError as error:
            trouble.append(str(error))
    cancelled = _Cancelled(here, trouble)
    cancelled.waiting_jobs()
    request_stop(study, at_once=at_once)
    workers = read_workers(study)
    living = [worker for worker in workers if worker.alive and worker.silent <= 2 * study.lease]
    cancelled.waiting_jobs()
    cancelled.running_jobs(set() if cancel_running else {worker.job for worker in living if worker.job})
    return Stopped(len(living), len(cancelled.waiting), len(cancelled.running), elsewhere, trouble)


class _Cancelled:
    """Jobs of some arrays that were cancelled, by label."""

    def __init__(self, arrays: list[str], trouble: list[str]) -> None:
        self._arrays, self._trouble = arrays, trouble
        self.waiting: set[str] = set()
        self.running: set[str] = set()

    def waiting_jobs(self) -> None:
        """Cancels those that have not started."""
        labels = {task.label for task in self._tasks() if task.waiting}
        if self._try(labels, waiting_only=True):
            self.waiting |= labels

    def running_jobs(self, spared: set[str]) -> None:
        """Cancels those that run, but for some."""
        labels = {task.label for task in self._tasks() if task.running} - spared
        if self._try(labels, waiting_only=False):
            self.running |= labels

    def _tasks(self) -> list[client.Task]:
        if not self._arrays or self._trouble:
            return []
        try:
            return client.tasks(self._arrays)
        except HpoError as error:
            self._trouble.append(str(error))
            return []

    def _try(self, labels: set[str], *, waiting_only: bool) -> bool:
        try:
            client.cancel(sorted(labels), waiting_only=waiting_only)
        except HpoError as error:
            self._trouble.append(str(error))
            return False
        return bool(labels)
