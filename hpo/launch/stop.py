"""Stop the work on a study: ask its workers to end, and cancel its jobs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.launch.backends.base import BACKENDS, Cancelled

if TYPE_CHECKING:
    from hpo.search.study import Study


@dataclass(frozen=True)
class Stopped:
    """Result of a stop request.

    Attributes:
        asked: number of workers with a recent heartbeat.
        waiting, running: numbers of cancelled jobs.
        elsewhere: jobs of other clusters, CLUSTER:JOB, or other users, CLUSTER:JOB of USER.
        trouble: what a backend could not do, one sentence each.
    """

    asked: int
    waiting: int
    running: int
    elsewhere: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def stop_study(study: Study, *, at_once: bool, cancel_running: bool) -> Stopped:
    """Ask every worker of the study to end, and cancel its waiting jobs, or all of them, on every backend.

    Waiting jobs are cancelled before and after the request, so that none of them starts a worker that misses it. A job
    that runs without a live worker (it is starting, or about to be requeued) holds no trial and is cancelled too.
    """
    from hpo.search.queue.workers import read_workers, request_stop

    first = {name: _cancel(name, study, None) for name in BACKENDS.names()}
    request_stop(study, at_once=at_once)
    living = [worker for worker in read_workers(study) if worker.alive and worker.silent <= 2 * study.lease]
    spared = set() if cancel_running else {worker.job for worker in living if worker.job}
    # A backend that did not answer once would only be waited for again.
    second = [_cancel(name, study, spared) for name, done in first.items() if not done.trouble]
    answers = [*first.values(), *second]
    return Stopped(
        len(living),
        len(frozenset[str]().union(*(done.waiting for done in answers))),
        len(frozenset[str]().union(*(done.running for done in answers))),
        list(dict.fromkeys(job for done in answers for job in done.elsewhere)),
        list(dict.fromkeys(sentence for done in answers for sentence in done.trouble)),
    )


def _cancel(name: str, study: Study, spared: Collection[str] | None) -> Cancelled:
    try:
        answer = BACKENDS.find(name)().cancel(study, spared=spared)
        if not isinstance(answer, Cancelled):
            raise TypeError(f"cancel returned {answer!r}, not hpo.Cancelled")
        return answer
    except Exception as error:
        # Workers are asked to end whatever a plug-in does.
        return Cancelled(trouble=(f"backend {name}: {error}",))
