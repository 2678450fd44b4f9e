"""Who works on a study: its workers and its Slurm jobs, and the request that they stop."""

from __future__ import annotations

import os
from dataclasses import dataclass

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.database.schema import database_now
from hpo.search.queue.process_identity import own_identity
from hpo.search.study import Study

_workers = schema.workers.c


@dataclass(frozen=True)
class WorkerIdentity:
    """Who a worker is.

    name: unique in the study. life: see `hpo.search.queue.process_identity`. job: of Slurm, JOB or JOB_TASK.
    """

    name: str
    host: str
    process: int
    life: str
    device: str
    job: str | None = None


def this_process(name: str | None = None, *, device: str = "cpu", job: str | None = None) -> WorkerIdentity:
    """This process as a worker; its name is HOST-PROCESS unless one is given."""
    host, process = os.uname().nodename, os.getpid()
    return WorkerIdentity(name or f"{host}-{process}", host, process, own_identity(), device, job)


@dataclass(frozen=True)
class WorkerRow:
    """A worker as the database knows it; times in seconds since 1970, silent in seconds since its last sign of life.

    trial: the number of the trial that it holds by a lease that has not run out.
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
        """Whether it has not ended, as far as the database knows."""
        return self.ended is None


@dataclass(frozen=True)
class JobRow:
    """An array of workers that was submitted to Slurm. submitted: seconds since 1970."""

    cluster: str
    job: str
    tasks: int
    submitted: float
    log_dir: str


@dataclass(frozen=True)
class StopRequest:
    """What a worker is asked to do. at_once: give the trial back instead of training it to its end."""

    at_once: bool


def register_worker(study: Study, identity: WorkerIdentity) -> float:
    """Writes the worker down, anew if one of that name was there; returns its start on the database's clock."""
    values = {
        "study_id": study.study_id,
        "worker": identity.name,
        "host": identity.host,
        "process": identity.process,
        "life": identity.life,
        "device": identity.device,
        "job": identity.job,
        "started": database_now(),
        "seen": database_now(),
        "ended": None,
        "finished": 0,
        "message": None,
    }

    def write(connection: sa.Connection) -> float:
        schema.upsert(connection, schema.workers, ("study_id", "worker"), values)
        started: float = connection.scalar(sa.select(_workers.started).where(_here(study, identity.name))) or 0.0
        return started

    return study.database.write(write)


def check_in(study: Study, worker: str, started: float, *, finished: int, message: str) -> StopRequest | None:
    """Notes between two trials that the worker lives and what it does; returns what it is asked to do."""
    values = {"seen": database_now(), "finished": finished, "message": message}

    def write(connection: sa.Connection) -> StopRequest | None:
        connection.execute(sa.update(schema.workers).where(_here(study, worker)).values(values))
        return read_stop_request(connection, study, started)

    return study.database.write(write)


def end_worker(study: Study, worker: str, *, finished: int, message: str) -> None:
    """Notes that the worker has ended, and why."""
    values = {"seen": database_now(), "ended": database_now(), "finished": finished, "message": message}
    change = sa.update(schema.workers).where(_here(study, worker)).values(values)
    study.database.write(lambda connection: connection.execute(change))


def record_job(study: Study, *, cluster: str, job: str, tasks: int, log_dir: str) -> None:
    """Notes an array of workers that was submitted."""
    values = {
        "study_id": study.study_id,
        "cluster": cluster,
        "job": job,
        "tasks": tasks,
        "submitted": database_now(),
        "log_dir": log_dir,
    }
    study.database.write(
        lambda connection: schema.upsert(connection, schema.jobs, ("study_id", "cluster", "job"), values)
    )


def request_stop(study: Study, *, at_once: bool) -> None:
    """Asks every worker that has started by now to end; workers that start later are not meant."""
    change = sa.update(schema.studies).where(schema.studies.c.study_id == study.study_id)
    values = {"stop_before": database_now(), "stop_at_once": at_once}
    study.database.write(lambda connection: connection.execute(change.values(values)))


def read_stop_request(connection: sa.Connection, study: Study, started: float) -> StopRequest | None:
    """What a worker that started then, on the database's clock, is asked to do; None: go on."""
    columns = (schema.studies.c.stop_before, schema.studies.c.stop_at_once)
    row = connection.execute(sa.select(*columns).where(schema.studies.c.study_id == study.study_id)).one_or_none()
    if row is None or row.stop_before is None or row.stop_before < started:
        return None
    return StopRequest(bool(row.stop_at_once))


def touch(connection: sa.Connection, study: Study, worker: str) -> None:
    """Notes inside a transaction that the worker lives."""
    connection.execute(sa.update(schema.workers).where(_here(study, worker)).values(seen=database_now()))


def read_workers(study: Study) -> list[WorkerRow]:
    """Workers of the study, in the order of their start; reads only."""
    trials = schema.trials.c
    holding = (
        (trials.study_id == _workers.study_id)
        & (trials.worker == _workers.worker)
        & (trials.state == "claimed")
        & (trials.lease_until >= database_now())
    )
    trial = sa.select(sa.func.max(trials.trial_number)).where(holding).scalar_subquery()
    query = (
        sa.select(schema.workers, (database_now() - _workers.seen).label("silent"), trial.label("trial"))
        .where(_workers.study_id == study.study_id)
        .order_by(_workers.started, _workers.worker)
    )
    with study.database.reading() as connection:
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
                trial=row.trial,
            )
            for row in connection.execute(query)
        ]


def read_jobs(study: Study) -> list[JobRow]:
    """Arrays submitted for the study, oldest first; reads only."""
    jobs = schema.jobs.c
    query = sa.select(schema.jobs).where(jobs.study_id == study.study_id).order_by(jobs.submitted, jobs.job)
    with study.database.reading() as connection:
        return [
            JobRow(row.cluster, row.job, row.tasks, row.submitted, row.log_dir) for row in connection.execute(query)
        ]


def _here(study: Study, worker: str) -> sa.ColumnElement[bool]:
    return (_workers.study_id == study.study_id) & (_workers.worker == worker)
