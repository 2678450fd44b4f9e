"""`hpo worker`: one process that takes trials until there are none."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import checkpoint_dir_option, data_dir_option, device_option, storage_option

if TYPE_CHECKING:
    from hpo.launch.allocation import Allocation
    from hpo.search.deadline import Deadline

DEADLINE_MARGIN = 60.0
"""Seconds before the end of its Slurm job at which a worker gives its trial back, should no signal have come before."""


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
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
    and it ends with code 130. In a Slurm job it knows the walltime and begins nothing that it cannot get anywhere with.
    """
    signals = _signals()

    from hpo.data.folder import data_folder
    from hpo.launch.allocation import current_allocation
    from hpo.launch.folders import checkpoint_folder
    from hpo.search.address import resolve_address
    from hpo.search.registry import this_process
    from hpo.search.storage import open_database
    from hpo.search.study import open_study
    from hpo.search.trainer import make_trainer
    from hpo.search.worker import run_worker
    from hpo.training.device import set_up_process

    allocation = current_allocation()
    set_up_process(threads)
    # A job was submitted after its address had been tried.
    known_good = allocation is not None
    database = open_database(resolve_address(storage), create=False, on_outage=_say, known_good=known_good)
    study = open_study(database, study_name)
    folder = checkpoint_folder(checkpoint_dir, study.folder)
    summary = run_worker(
        study,
        identity=this_process(worker_name, device=device, job=allocation.label if allocation is not None else None),
        train=make_trainer(study.spec, data_folder(data_dir), device, folder),
        stop=lambda: bool(signals) or (parent is not None and os.getppid() != parent),
        on_event=_say,
        limit=limit,
        deadline=_deadline(allocation),
    )
    _say(
        f"{summary.finished} trials finished, {summary.pruned} of them pruned, {summary.failed} failed; {summary.said}"
    )
    return 130 if summary.interrupted else 0


def _signals() -> list[int]:
    """The signals that have asked this process to stop, as they come."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda came, _frame: received.append(came))
    return received


def _deadline(allocation: Allocation | None) -> Deadline | None:
    from hpo.search.deadline import Deadline

    left = allocation.seconds_left() if allocation is not None else None
    return None if left is None else Deadline(left, DEADLINE_MARGIN)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
