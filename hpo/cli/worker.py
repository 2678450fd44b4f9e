"""`hpo worker`: one process that takes trials until there are none."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import checkpoint_dir_option, data_dir_option, device_option, storage_option

if TYPE_CHECKING:
    from hpo.launch.allocation import Allocation
    from hpo.search.worker.deadline import Deadline
    from hpo.search.worker.loop import WorkerSummary

DEADLINE_MARGIN = 60.0
"""Seconds before the end of its Slurm job at which a worker gives its trial back, should no signal have come before."""


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option(
    "--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads.  [default: its share of the cores]"
)
@click.option(
    "--sharing",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Workers that share the device, this one counted; it takes its part of cores and memory.  [default: 1]",
)
@click.option("--worker-name", metavar="NAME", help="How it is called in tables.  [default: host and process number]")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="End after N trials.")
@click.option("--parent", type=int, hidden=True, help="Stop when this process is gone.")
@checkpoint_dir_option
@storage_option
@data_dir_option
@device_option
def worker(
    study_name: str,
    threads: int | None,
    sharing: int,
    worker_name: str | None,
    limit: int | None,
    parent: int | None,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
) -> int:
    """Attach one more worker to STUDY; it ends when the study's trials are finished.

    Ctrl-C, SIGTERM or SIGUSR2 stop it within a step: its trial is given back with its checkpoint and goes on elsewhere,
    and it ends with code 130. A trial that asks for more memory than its part ends as failed, and the worker takes the
    next. In a Slurm job it knows the walltime and begins nothing that it cannot get anywhere with.
    """
    signals = _signals()

    from hpo.data.folder import data_folder
    from hpo.launch.allocation import current_allocation
    from hpo.launch.folders import checkpoint_folder
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.queue.workers import read_workers, this_process
    from hpo.search.study import open_study
    from hpo.search.worker.loop import run_worker
    from hpo.search.worker.trainer import make_trainer
    from hpo.training.machine.device import choose_device, limit_memory, set_up_process
    from hpo.training.machine.limits import WornOut, is_worn, usable_cores

    allocation = current_allocation()
    set_up_process(threads or (max(1, usable_cores() // sharing) if sharing > 1 else None))
    limit_memory(choose_device(device), sharing)
    # A job was submitted after its address had been tried.
    known_good = allocation is not None
    address = resolve_address(storage)
    database = open_database(address, create=False, on_outage=_say, known_good=known_good)
    study = open_study(database, study_name)
    folder = checkpoint_folder(checkpoint_dir, study.folder)
    identity = this_process(worker_name, device=device, job=allocation.label if allocation is not None else None)

    def asked_to_stop() -> bool:
        return bool(signals) or (parent is not None and os.getppid() != parent)

    summary: WorkerSummary | None = None
    with suppress(WornOut):
        summary = run_worker(
            study,
            identity=identity,
            train=make_trainer(study.spec, data_folder(data_dir), device, folder, sharing),
            stop=lambda: asked_to_stop() or is_worn(),
            on_event=_say,
            limit=limit,
            deadline=_deadline(allocation),
        )
    if summary is not None:
        _say(f"{summary.finished} trials finished, {summary.pruned} pruned, {summary.failed} failed; {summary.said}")
    if is_worn() and not asked_to_stop() and (summary is None or summary.ended == "interrupted"):
        _say("memory was refused to this process; the worker goes on as a new one")
        finished = next((row.finished for row in read_workers(study) if row.name == identity.name), 0)
        database.close()
        options = {
            "--threads": threads,
            "--sharing": sharing,
            "--worker-name": worker_name,
            "--limit": None if limit is None else limit - finished,
            "--parent": parent,
            "--checkpoint-dir": checkpoint_dir,
            "--storage": "-",
            "--data-dir": data_dir,
            "--device": device,
        }
        _begin_anew(study_name, options, address.render_as_string(hide_password=False))
    return 130 if summary is None or summary.interrupted else 0


def _begin_anew(study_name: str, options: dict[str, str | int | None], address: str) -> NoReturn:
    """Puts a new worker into the place of this process, under its number; the address goes by its standard input."""
    given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as pipe:
        pipe.write(address + "\n")
    os.dup2(readable, 0)
    os.execv(sys.executable, [sys.executable, "-m", "hpo", "worker", *given, "--", study_name])


def _signals() -> list[int]:
    """The signals that have asked this process to stop, as they come."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda came, _frame: received.append(came))
    return received


def _deadline(allocation: Allocation | None) -> Deadline | None:
    from hpo.search.worker.deadline import Deadline

    left = allocation.seconds_left() if allocation is not None else None
    return None if left is None else Deadline(left, DEADLINE_MARGIN)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
