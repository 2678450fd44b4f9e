"""Cancelling the jobs of a study: those that have not started, or those that run, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.launch.backends.base import Cancelled
from hpo.launch.backends.slurm import client

if TYPE_CHECKING:
    from hpo.search.study import Study


def cancel_jobs(study: Study, spared: Collection[str] | None) -> Cancelled:
    """Cancel the study's waiting jobs on this cluster and, unless `spared` is None, its running ones except those."""
    from hpo.search.queue.workers import read_jobs

    jobs = read_jobs(study)
    if not jobs:
        return Cancelled()
    try:
        cluster = client.cluster_name()
    except HpoError as error:
        return Cancelled(trouble=(str(error),))
    cancelled = _Cancelled([row.job for row in jobs if row.cluster == cluster])
    cancelled.waiting_jobs()
    if spared is not None:
        cancelled.running_jobs(spared)
    return Cancelled(
        frozenset(cancelled.waiting),
        frozenset(cancelled.running),
        (
            *(f"{row.cluster}:{row.job}" for row in jobs if row.cluster != cluster),
            *(f"{cluster}:{label} of {user}" for label, user in cancelled.of_others.items()),
        ),
        tuple(cancelled.trouble),
    )


class _Cancelled:
    """Jobs of some arrays that were cancelled, by label."""

    def __init__(self, arrays: list[str]) -> None:
        self._arrays = arrays
        self.trouble: list[str] = []
        self.waiting: set[str] = set()
        self.running: set[str] = set()
        self.of_others: dict[str, str] = {}

    def waiting_jobs(self) -> None:
        """Cancel those that have not started."""
        labels = self._mine(task for task in self._tasks() if task.waiting)
        if self._try(labels, waiting_only=True):
            self.waiting |= labels

    def running_jobs(self, spared: Collection[str]) -> None:
        """Cancel those that run, except some."""
        labels = self._mine(task for task in self._tasks() if task.running and task.label not in spared)
        if self._try(labels, waiting_only=False):
            self.running |= labels

    def _mine(self, tasks: Iterable[client.Task]) -> set[str]:
        """Return the labels of those that this user may cancel: Slurm would refuse the others, not the whole call."""
        found = list(tasks)
        self.of_others |= {task.label: task.user for task in found if not task.cancellable}
        return {task.label for task in found if task.cancellable}

    def _tasks(self) -> list[client.Task]:
        if not self._arrays or self.trouble:
            return []
        try:
            return client.tasks(self._arrays)
        except HpoError as error:
            self.trouble.append(str(error))
            return []

    def _try(self, labels: set[str], *, waiting_only: bool) -> bool:
        try:
            client.cancel(sorted(labels), waiting_only=waiting_only)
        except HpoError as error:
            self.trouble.append(str(error))
            return False
        return bool(labels)
