"""The arrays of a study as Slurm sees them now, for those who look: bounded in time, and never an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.launch.backends.base import Jobs, JobState
from hpo.launch.backends.slurm import client

if TYPE_CHECKING:
    from hpo.search.queue.workers import JobRow
    from hpo.search.study import Study

ASKED = 40
"""Arrays of a study that Slurm is asked for, the newest ones."""


def read_queue(jobs: Sequence[JobRow], seconds: float = client.LOOK_SECONDS) -> Jobs:
    """Return the state of these arrays, with at most two calls to Slurm of `seconds` each, or none without arrays."""
    if not jobs:
        return Jobs()
    tasks: dict[str, list[client.Task]] = {}
    trouble = None
    try:
        cluster = client.cluster_name(seconds)
        asked = [row.job for row in jobs if row.cluster == cluster][-ASKED:]
        for task in client.tasks(asked, seconds):
            tasks.setdefault(task.job, []).append(task)
    except HpoError as error:
        cluster, asked, trouble = "", [], f"Slurm does not answer: {error}"
    states = (_state(row, tasks.get(row.job, []), known=row.cluster == cluster and row.job in asked) for row in jobs)
    return Jobs(tuple(states), trouble)


def count_ending(study: Study) -> int:
    """Return how many running jobs take no further trial, since `hpo stop` has asked their workers to end."""
    from hpo.search.queue.workers import read_jobs, read_last_stop, read_workers

    last_stop, workers = read_last_stop(study), read_workers(study)
    # A job that was put back into the queue has workers of both kinds.
    goes_on = {worker.job for worker in workers if worker.alive and worker.started > last_stop}
    asked = {worker.job for worker in workers if worker.started <= last_stop} - goes_on
    if not any(asked):
        return 0
    try:
        cluster = client.cluster_name(client.LOOK_SECONDS)
        arrays = [row.job for row in read_jobs(study) if row.cluster == cluster][-ASKED:]
        return sum(task.running and task.label in asked for task in client.tasks(arrays, client.LOOK_SECONDS))
    except HpoError:
        return 0


def _state(row: JobRow, tasks: list[client.Task], *, known: bool) -> JobState:
    bare = JobState(row.cluster, row.job, row.tasks, row.submitted, row.log_dir)
    if not known:
        return bare
    count = Counter("waiting" if task.waiting else "running" if task.running else "ended" for task in tasks)
    reasons = Counter(task.reason for task in tasks if task.waiting)
    return JobState(
        row.cluster,
        row.job,
        row.tasks,
        row.submitted,
        row.log_dir,
        running=count["running"],
        waiting=count["waiting"],
        # Slurm forgets a task some time after its end.
        ended=row.tasks - count["running"] - count["waiting"],
        reasons=tuple(reason for reason, _ in reasons.most_common()),
    )
