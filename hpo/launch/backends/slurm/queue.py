"""The arrays of a study as Slurm sees them now, for those who look: bounded in time, and never an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.launch.backends.base import Jobs, JobState
from hpo.launch.backends.slurm import client

if TYPE_CHECKING:
    from hpo.search.queue.workers import JobRow
    from hpo.search.study import Study

ASKED = 40
"""Arrays of a study that Slurm is asked for, the newest ones."""


@dataclass(frozen=True)
class Answer:
    """What Slurm says of arrays.

    Attributes:
        cluster: its name; "" if it does not answer.
        asked: the arrays that it was asked for.
        trouble: why it does not answer; None if it does.
    """

    cluster: str = ""
    asked: tuple[str, ...] = ()
    tasks: tuple[client.Task, ...] = ()
    trouble: str | None = None


def ask(jobs: Sequence[JobRow], seconds: float = client.LOOK_SECONDS) -> Answer:
    """Ask Slurm for these arrays, with at most two calls of `seconds` each, or none without arrays."""
    if not jobs:
        return Answer()
    try:
        cluster = client.cluster_name(seconds)
        asked = tuple(row.job for row in jobs if row.cluster == cluster)[-ASKED:]
        return Answer(cluster, asked, tuple(client.tasks(asked, seconds)))
    except HpoError as error:
        return Answer(trouble=f"Slurm does not answer: {error}")


def read_queue(jobs: Sequence[JobRow], seconds: float = client.LOOK_SECONDS) -> Jobs:
    """Ask as `ask`, and return the state of these arrays."""
    return states(jobs, ask(jobs, seconds))


def states(jobs: Sequence[JobRow], answer: Answer) -> Jobs:
    """Return the state of arrays by Slurm's answer."""
    tasks: dict[str, list[client.Task]] = {}
    for task in answer.tasks:
        tasks.setdefault(task.job, []).append(task)
    return Jobs(
        tuple(
            _state(row, tasks.get(row.job, []), known=row.cluster == answer.cluster and row.job in answer.asked)
            for row in jobs
        ),
        answer.trouble,
    )


def count_ending(study: Study, tasks: Sequence[client.Task]) -> int:
    """Return how many running jobs take no further trial, since `hpo stop` has asked their workers to end.

    Args:
        tasks: the study's jobs.
    """
    from hpo.search.queue.workers import read_last_stop, read_workers

    last_stop, workers = read_last_stop(study), read_workers(study)
    # A job that was put back into the queue has workers of both kinds.
    goes_on = {worker.job for worker in workers if worker.alive and worker.started > last_stop}
    asked = {worker.job for worker in workers if worker.started <= last_stop} - goes_on
    return sum(task.running and task.label in asked for task in tasks)


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
