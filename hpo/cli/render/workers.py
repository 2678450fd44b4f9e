"""Render the workers and jobs of a study: workers with a trial, workers without one, jobs."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.launch.backends.base import Jobs, JobState
from hpo.launch.jobs import JobWatch, jobs_of
from hpo.search.queries.status import RunningTrial, StudyStatus
from hpo.search.queue.workers import WorkerRow, read_workers
from hpo.search.study import Study
from hpo.study.baselines import shown_name
from hpo.text import duration, with_error

MOST_ROWS = 16
"""Running trials that a live view lists; the others are counted."""

MOST_ARRAYS = 4

LONG_AGO = 86400.0
"""Seconds of silence after which a lost worker is counted, no longer warned of: nobody waits for it."""


@dataclass(frozen=True)
class WorkersAndJobs:
    """Workers and jobs of a study. lost_after: seconds of silence after which a worker counts as lost."""

    workers: list[WorkerRow]
    jobs: Jobs
    lost_after: float

    def lost(self) -> list[WorkerRow]:
        """Return the workers not known to have ended whose last heartbeat is too old, but no older than a day."""
        return [worker for worker in self._silent() if worker.silent <= LONG_AGO]

    def lost_long_ago(self) -> list[WorkerRow]:
        """Return those whose last heartbeat is older than a day."""
        return [worker for worker in self._silent() if worker.silent > LONG_AGO]

    def idle(self) -> list[WorkerRow]:
        """Return the workers that run and hold no trial."""
        return [
            worker for worker in self.workers if worker.alive and worker.trial is None and not self._is_lost(worker)
        ]

    def as_json(self) -> dict[str, object]:
        """Return `workers`, `jobs` and `slurm`: why the state of jobs is unknown, or null."""
        return {"workers": self.workers, "jobs": self.jobs.jobs, "slurm": self.jobs.trouble}

    def _silent(self) -> list[WorkerRow]:
        return [worker for worker in self.workers if worker.alive and self._is_lost(worker)]

    def _is_lost(self, worker: WorkerRow) -> bool:
        return worker.silent > self.lost_after


def read_workers_and_jobs(study: Study, watch: JobWatch | None = None) -> WorkersAndJobs:
    """Read the workers, and ask the backends for jobs: now, or as often as `watch` does. Writes nothing."""
    jobs = jobs_of(study) if watch is None else watch.look(study)
    return WorkersAndJobs(read_workers(study), jobs, 2 * study.lease)


def workers_view(status: StudyStatus, state: WorkersAndJobs, most: int | None = None) -> RenderableType:
    """Render at most `most` running trials with their workers, then the other workers and the jobs."""
    shown = status.running[:most]
    by_name = {worker.name: worker for worker in state.workers}
    table = Table(
        "worker", "device", "trial", "epoch", "", "AUC", "heartbeat", box=None, pad_edge=False, header_style="dim"
    )
    for running in shown:
        table.add_row(*_cells(running, by_name.get(running.worker)))
    if not shown:
        table.add_row("none running", *[""] * 6)
    return Group(table, *_others(state, len(status.running) - len(shown)), *_jobs(state.jobs))


def next_share(running: RunningTrial) -> str:
    """Format how much of the next epoch is done: `12.5 %`; "" at its begin, and after the last one."""
    share = f"{100 * running.epoch_share:.1f} %"
    return "" if running.epoch >= running.epochs or share == "0.0 %" else share


def _cells(running: RunningTrial, worker: WorkerRow | None) -> tuple[RenderableType, ...]:
    share = next_share(running)
    return (
        running.worker,
        worker.device if worker else "",
        str(running.number) + (f" {shown_name(running.reference, running.epochs)}" if running.reference else ""),
        f"{running.epoch}/{running.epochs}" + (f" +{share}" if share else ""),
        ProgressBar(total=1.0, completed=running.progress, width=20),
        with_error(running.auc, running.standard_error),
        f"{duration(running.seconds)} ago",
    )


def _others(state: WorkersAndJobs, hidden: int) -> list[Text]:
    lines = []
    idle, lost, long_ago = state.idle(), state.lost(), state.lost_long_ago()
    ended = [worker for worker in state.workers if not worker.alive]
    parts = [f"{hidden} more with a trial"] if hidden else []
    parts += [f"{len(idle)} without a trial"] if idle else []
    parts += [f"{len(ended)} ended"] if ended else []
    parts += [f"{len(long_ago)} lost over a day ago"] if long_ago else []
    if parts:
        lines.append(Text("; ".join(parts), style="dim"))
    if lost:
        longest = max(worker.silent for worker in lost)
        names = ", ".join(worker.name for worker in lost[:3]) + (" ..." if len(lost) > 3 else "")
        lines.append(Text(f"{len(lost)} lost, last heartbeat up to {duration(longest)} ago: {names}", style="yellow"))
    if ended and (message := max(ended, key=lambda worker: worker.ended or 0.0).message):
        lines.append(Text(f"the last one ended: {message.splitlines()[0]}", style="dim", overflow="ellipsis"))
    return lines


def _jobs(jobs: Jobs) -> list[Text]:
    going = [job for job in jobs.jobs if not job.over]
    lines = [Text(_describe(job)) for job in going[-MOST_ARRAYS:]]
    if len(going) > MOST_ARRAYS:
        lines.insert(0, Text(f"{len(going) - MOST_ARRAYS} earlier jobs", style="dim"))
    if jobs.trouble:
        lines.append(Text(jobs.trouble, style="yellow"))
    return lines


def _describe(array: JobState) -> str:
    text = f"job {array.job} on {array.cluster}: {array.tasks} in its array"
    if array.running is None:
        return text
    why = f" ({', '.join(array.reasons)})" if array.reasons else ""
    return (
        f"{text}, {array.running} running, {array.waiting} waiting{why}, {array.ended} ended; logs in {array.log_dir}"
    )
