"""Registry of a study's workers and Slurm jobs, and requests to stop them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import sqlalchemy as sa

from hpo.errors import UsageError
from hpo.search.creation import check_printable
from hpo.search.database import schema
from hpo.search.database.schema import database_now
from hpo.search.queue.process_identity import has_ended, own_host, own_identity, visible_identity_prefix
from hpo.search.study import Study
from hpo.text import shell, storable

MAX_NAME = 255
"""Characters of a worker's name that its column holds."""

ALSO = "; besides, "
"""In the message of a worker that has ended, between why it did and what else its user should know."""

_workers = schema.workers.c


@dataclass(frozen=True)
class WorkerIdentity:
    """Identity of a worker.

    Attributes:
        name: unique in the study.
        process: PID.
        process_identity: unique, unlike the PID; see `hpo.search.queue.process_identity`.
        job: Slurm job, JOB or JOB_TASK.
    """

    name: str
    host: str
    process: int
    process_identity: str
    device: str
    job: str | None = None


def this_process(name: str | None = None, *, device: str = "cpu", job: str | None = None) -> WorkerIdentity:
    """Return the identity of this process as a worker, whose name is HOST-PROCESS unless `name` is given.

    Raises:
        UsageError: if a worker may not have this name.
    """
    if name is not None:
        check_printable("--worker-name", name, MAX_NAME)
    host, process = os.uname().nodename, os.getpid()
    label = None if job is None else storable(job, 64)
    own_name = f"{own_host()}-{process}" if name is None else name
    return WorkerIdentity(own_name, host, process, own_identity(), device[:64], label)


@dataclass(frozen=True)
class WorkerRow:
    """A worker according to the database.

    Attributes:
        started: in seconds since 1970.
        silent: seconds since its last heartbeat.
        ended: in seconds since 1970; None if it has not ended.
        finished: number of trials that it finished.
        message: why it ended, or what it is doing.
        trial: number of the trial on which it holds a valid lease.
    """

    name: str
    host: str
    process: int
    device: str
    job: str | None
    started: float
    silent: float
    ended: float | None
    finished: int
    message: str | None
    trial: int | None

    @property
    def alive(self) -> bool:
        """Whether it has not ended according to the database."""
        return self.ended is None


@dataclass(frozen=True)
class JobRow:
    """A Slurm job array of workers.

    Attributes:
        submitted: in seconds since 1970.
    """

    cluster: str
    job: str
    tasks: int
    submitted: float
    log_dir: str


@dataclass(frozen=True)
class StopRequest:
    """A request that workers stop.

    Attributes:
        at_once: whether to release the current trial instead of finishing it.
    """

    at_once: bool


def read_last_stop(study: Study) -> float:
    """Return what identifies the study's last stop request, 0 if there was none."""
    query = sa.select(schema.studies.c.stop_before).where(schema.studies.c.study_id == study.study_id)
    last: float | None = study.database.read(lambda connection: connection.scalar(query))
    return last or 0.0


def register_worker(study: Study, identity: WorkerIdentity, last_stop: float | None = None) -> float:
    """Register the worker, replacing one of the same name; return its start on the database's clock.

    The start is later than every stop request so far, also if the clock has been set back since. But a worker that was
    started with others is stopped with them, even if it comes after the request.

    Args:
        last_stop: the last stop request when its launch began, see `read_last_stop`; None if it has none.

    Raises:
        UsageError: if a worker of this name is at work on this host, or the server does not tell its name from that of
            another worker.
    """
    values = {
        "study_id": study.study_id,
        "worker": identity.name,
        "host": identity.host,
        "process": identity.process,
        "life": identity.process_identity,
        "device": identity.device,
        "job": identity.job,
        "started": database_now(),
        "seen": database_now(),
        "ended": None,
        "finished": 0,
        "message": None,
    }
    stop_before = sa.select(schema.studies.c.stop_before).where(schema.studies.c.study_id == study.study_id)
    registered = sa.select(_workers.started, _workers.worker, stop_before.scalar_subquery().label("stop_before"))
    registered = registered.where(_here(study, identity.name))

    def write(connection: sa.Connection) -> float:
        before = connection.execute(sa.select(schema.workers).where(_here(study, identity.name))).one_or_none()
        if before is not None and _is_another_at_work(before, identity):
            raise UsageError(
                f"worker {shell(identity.name)} of study {study.name} is at work on this host, process "
                f"{before.process}; give another --worker-name, or leave it out"
            )
        schema.upsert(connection, schema.workers, ("study_id", "worker"), values)
        row = connection.execute(registered).one()
        # MySQL compares by the collation of the column, for which `W` and `w` are equal.
        if row.worker != identity.name:
            raise UsageError(
                f"study {study.name} has a worker {shell(row.worker)}, whose name this server does not tell from "
                f"{shell(identity.name)}; give another --worker-name"
            )
        study.database.clock_step(float(row.started))
        is_asked = last_stop is not None and (row.stop_before or 0.0) != last_stop
        if not is_asked and (row.stop_before is None or row.stop_before < row.started):
            return float(row.started)
        # A request stops workers that started before it: this one just before, to end with its launch, or just after.
        started = math.nextafter(row.stop_before, -math.inf if is_asked else math.inf)
        connection.execute(sa.update(schema.workers).where(_here(study, identity.name)).values(started=started))
        return started

    return study.write(write)


def _is_another_at_work(row: schema.AnyRow, identity: WorkerIdentity) -> bool:
    """Return whether a stored worker is another process of this host that runs.

    Its trial would be taken from it once a worker that took its name has ended: it is looked up by the name.
    """
    is_visible = row.life.startswith(visible_identity_prefix() or "\0") and row.life != identity.process_identity
    return row.ended is None and is_visible and not has_ended(row.process, row.life)


def check_in(study: Study, worker: str, started: float, *, finished: int, message: str) -> StopRequest | None:
    """Store a heartbeat and a status message between two trials; return a pending stop request."""
    values = {"seen": database_now(), "finished": finished, "message": storable(message)}

    def write(connection: sa.Connection) -> StopRequest | None:
        connection.execute(sa.update(schema.workers).where(_here(study, worker)).values(values))
        return read_stop_request(connection, study, started)

    return study.write(write)


def end_worker(study: Study, worker: str, *, finished: int, message: str) -> None:
    """Record that the worker has ended, and why."""
    values = {"seen": database_now(), "ended": database_now(), "finished": finished, "message": storable(message)}
    change = sa.update(schema.workers).where(_here(study, worker)).values(values)
    study.write(lambda connection: connection.execute(change))


def record_job(study: Study, *, cluster: str, job: str, tasks: int, log_dir: str) -> None:
    """Record a submitted job array of workers."""
    values = {
        "study_id": study.study_id,
        "cluster": cluster,
        "job": job,
        "tasks": tasks,
        "submitted": database_now(),
        "log_dir": log_dir,
    }
    study.write(lambda connection: schema.upsert(connection, schema.jobs, ("study_id", "cluster", "job"), values))


def request_stop(study: Study, *, at_once: bool) -> None:
    """Ask every worker that has started so far to stop; workers that start later are not affected."""
    change = sa.update(schema.studies).where(schema.studies.c.study_id == study.study_id)
    last = sa.select(sa.func.max(_workers.started)).where(_workers.study_id == study.study_id)

    def write(connection: sa.Connection) -> None:
        # Starts lie in the future if the database's clock has been set back since.
        now: float = connection.scalar(sa.select(database_now())) or 0.0
        before = max(now, connection.scalar(last) or 0.0)
        connection.execute(change.values(stop_before=before, stop_at_once=at_once))

    study.write(write)


def read_stop_request(connection: sa.Connection, study: Study, started: float) -> StopRequest | None:
    """Return the stop request for a worker that started at `started` on the database's clock; None if there is none."""
    columns = (schema.studies.c.stop_before, schema.studies.c.stop_at_once)
    row = connection.execute(sa.select(*columns).where(schema.studies.c.study_id == study.study_id)).one_or_none()
    if row is None or row.stop_before is None or row.stop_before < started:
        return None
    return StopRequest(bool(row.stop_at_once))


def touch(connection: sa.Connection, study: Study, worker: str) -> None:
    """Store a heartbeat within a transaction."""
    connection.execute(sa.update(schema.workers).where(_here(study, worker)).values(seen=database_now()))


def read_workers(study: Study) -> list[WorkerRow]:
    """Return the workers of the study, in the order of their start."""
    trials = schema.trials.c
    # Not as a subquery for each worker: SQLite would look through all trials for each.
    holding = sa.select(trials.worker, trials.trial_number).where(
        trials.study_id == study.study_id, trials.state == "claimed", trials.lease_until >= database_now()
    )
    query = (
        sa.select(schema.workers, (database_now() - _workers.seen).label("silent"))
        .where(_workers.study_id == study.study_id)
        .order_by(_workers.started, _workers.worker)
    )
    held, rows = study.database.read(
        lambda connection: (
            {row.worker: row.trial_number for row in connection.execute(holding.order_by(trials.trial_number))},
            connection.execute(query).all(),
        )
    )
    return [
        WorkerRow(
            name=row.worker,
            host=row.host,
            process=row.process,
            device=row.device,
            job=row.job,
            started=row.started,
            silent=float(row.silent),
            ended=row.ended,
            finished=row.finished,
            message=row.message,
            trial=held.get(row.worker),
        )
        for row in rows
    ]


def read_jobs(study: Study) -> list[JobRow]:
    """Return the job arrays submitted for the study, oldest first."""
    jobs = schema.jobs.c
    query = sa.select(schema.jobs).where(jobs.study_id == study.study_id).order_by(jobs.submitted, jobs.job)
    rows = study.database.read(lambda connection: connection.execute(query).all())
    return [JobRow(row.cluster, row.job, row.tasks, row.submitted, row.log_dir) for row in rows]


def _here(study: Study, worker: str) -> sa.ColumnElement[bool]:
    return (_workers.study_id == study.study_id) & (_workers.worker == worker)
