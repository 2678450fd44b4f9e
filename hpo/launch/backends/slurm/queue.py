"""The arrays of a study as Slurm sees them now, for those who look: bounded in time, and never an error."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import HpoError
from hpo.launch.backends.slurm import client

if TYPE_CHECKING:
    from hpo.search.queue.workers import JobRow

ASKED = 40
"""Arrays of a study that Slurm is asked for, the newest ones."""

REFRESH_SECONDS = 20.0
"""How often a view that is drawn anew asks Slurm; its controller serves a whole cluster."""


@dataclass(frozen=True)
class ArrayState:
    """An array of workers. running, waiting, ended: how many of its tasks; None where Slurm does not tell.

    reasons: why tasks wait, as Slurm calls it. submitted: seconds since 1970.
    """

    cluster: str
    job: str
    tasks: int
    submitted: float
    log_dir: str
    running: int | None = None
    waiting: int | None = None
    ended: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether Slurm says that nothing of it is left."""
        return self.ended == self.tasks


@dataclass(frozen=True)
class Queue:
    """Arrays of a study, oldest first. trouble: why Slurm does not tell of them, None if it does."""

    arrays: tuple[ArrayState, ...] = ()
    trouble: str | None = None


def read_queue(jobs: Sequence[JobRow], seconds: float = client.LOOK_SECONDS) -> Queue:
    """How these arrays stand; asks Slurm at most twice, for `seconds` each, and not at all if there are none."""
    if not jobs:
        return Queue()
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
    return Queue(tuple(states), trouble)


class QueueWatch:
    """The same for a view that is drawn every second: Slurm is asked beside it, and now and then."""

    def __init__(self, every: float = REFRESH_SECONDS) -> None:
        self._every = every
        self._queue = Queue()
        self._asked = float("-inf")
        self._thread: threading.Thread | None = None

    def look(self, jobs: Sequence[JobRow]) -> Queue:
        """The last answer; asks anew in the background if it is old."""
        due = time.monotonic() - self._asked >= self._every
        if jobs and due and (self._thread is None or not self._thread.is_alive()):
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._ask, args=(list(jobs),), name="hpo-squeue", daemon=True)
            self._thread.start()
        return self._queue

    def _ask(self, jobs: list[JobRow]) -> None:
        self._queue = read_queue(jobs)


def _state(row: JobRow, tasks: list[client.Task], *, known: bool) -> ArrayState:
    bare = ArrayState(row.cluster, row.job, row.tasks, row.submitted, row.log_dir)
    if not known:
        return bare
    count = Counter("waiting" if task.waiting else "running" if task.running else "ended" for task in tasks)
    reasons = Counter(task.reason for task in tasks if task.waiting)
    return ArrayState(
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
