"""Attach this process to a study as a worker, with its share of cores and memory, checkpoints and job deadline."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo.control import Stop, StopReason, StopWatch
from hpo.data.folder import data_folder
from hpo.host import pass_on_niceness
from hpo.launch.allocation import Allocation, current_allocation
from hpo.launch.backends.local import checkpoint_folder
from hpo.launch.failed import check_failed
from hpo.outcome.network_training import trainer_of
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.status import read_status
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.deadline import Deadline
from hpo.search.worker.loop import WorkerSummary, run_worker
from hpo.search.worker.reporter import make_reporters
from hpo.text import counted
from hpo.training.machine.device import choose_device, limit_memory, set_up_process
from hpo.training.machine.limits import usable_cores

_log = logging.getLogger(__name__)

DEADLINE_MARGIN = 60.0
"""Seconds before the end of its Slurm job at which a worker releases its trial, if no signal came earlier."""


@dataclass(frozen=True)
class Attached:
    """How a worker ended.

    Attributes:
        summary: what it did.
        needs_restart: this process ran out of memory, and a new one should replace it.
        address: of the database, with its password.
    """

    summary: WorkerSummary
    needs_restart: bool
    address: str = field(repr=False)


def attach(
    study_name: str,
    *,
    storage: str | None = None,
    data_dir: str | None = None,
    checkpoint_dir: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    sharing: int = 1,
    worker_name: str | None = None,
    limit: int | None = None,
    stop: Stop | None = None,
    parent: int | None = None,
    last_stop: float | None = None,
    reporters: Sequence[str] = (),
) -> Attached:
    """Train trials of a study in this process until none is left, a stop is requested, or its job is about to end.

    Limits the memory and the threads of the whole process.

    Args:
        storage: as `--storage` takes it; None for $HPO_STORAGE, else hpo.sqlite3 in the current folder.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        checkpoint_dir: as `hpo.launch.backends.local.checkpoint_folder` takes it.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads, each of which trains a fold; None for one per core of this worker's share.
        sharing: workers that share the device, this one included; it takes its share of cores and memory.
        worker_name: its name in tables; None for host and PID.
        limit: stop after this many trials.
        stop: once requested, the trial is released with its checkpoint.
        parent: PID of the process that started this one; when it has ended, a stop is requested.
        last_stop: the study's last stop request when that process began, see `read_last_stop`.
        reporters: NAME or NAME=TARGET of each that is told of the trials; one that cannot be made is a warning.

    Raises:
        StudyStoppedError: if too many trials failed; without a `parent`, which says so itself, if all of them did.
        StudyNotFoundError, StorageError, DataError, DeviceError.
    """
    pass_on_niceness()
    allocation = current_allocation()
    set_up_process(threads or (max(1, usable_cores() // sharing) if sharing > 1 else None))
    limit_memory(choose_device(device), sharing)
    # The address was checked before a job was submitted, and by the launch that started, or restarted, this process.
    known_good = allocation is not None or parent is not None
    address = resolve_address(storage)
    database = open_database(address, create=False, known_good=known_good)
    study = open_study(database, study_name)
    folder = checkpoint_folder(checkpoint_dir, study.folder)
    identity = this_process(worker_name, device=device, job=allocation.label if allocation is not None else None)

    stop = stop or Stop()
    orphaned = {} if parent is None else {StopReason.PARENT: lambda: os.getppid() != parent}
    with StopWatch(stop, orphaned):
        summary = run_worker(
            study,
            identity=identity,
            train=trainer_of(study, data_folder(data_dir), device, folder, sharing),
            stop=stop,
            limit=limit,
            deadline=_deadline(allocation),
            last_stop=last_stop,
            reporters=make_reporters(reporters),
        )
    counts = f"{counted(summary.finished, 'trial')} finished, {summary.pruned} pruned, {summary.failed} failed"
    _log.info("%s; %s", counts, summary.description)
    if summary.ended == "done" and parent is None:
        check_failed(study, read_status(study))
    # A signal received after the refused allocation still ends the worker.
    needs_restart = (
        summary.ended is StopReason.MEMORY and StopReason.SIGNAL not in stop and StopReason.PARENT not in stop
    )
    if needs_restart:
        _log.warning("an allocation was refused to this process; the worker restarts in a new one")
        database.close()
    return Attached(summary, needs_restart, address.render_as_string(hide_password=False))


def _deadline(allocation: Allocation | None) -> Deadline | None:
    left = allocation.seconds_left() if allocation is not None else None
    return None if left is None else Deadline(left, DEADLINE_MARGIN)
