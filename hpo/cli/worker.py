"""Implement `hpo worker`: train trials of a study until none is left."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from hpo.cli.common import (
    MOST_SHARES,
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    reporter_option,
    reporter_texts,
    storage_option,
    study_argument,
    tensorboard_option,
)
from hpo.cli.interrupts import Echoes, answer_at_once
from hpo.cli.logs import log_to_stderr
from hpo.control import Stop, StopReason
from hpo.host import python_module


@click.command()
@study_argument
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1, MOST_SHARES),
    help="CPU threads, each of which trains a fold.  [default: one per core, of its share]",
)
@click.option(
    "--sharing",
    metavar="N",
    type=click.IntRange(1, MOST_SHARES),
    default=1,
    help="Workers that share the device, this one included; it takes its share of cores and memory.  [default: 1]",
)
@click.option("--worker-name", metavar="NAME", help="Its name in tables.  [default: host and PID]")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Stop after N trials.")
@click.option("--parent", type=int, hidden=True, help="Stop when this process has ended.")
@click.option("--last-stop", type=float, hidden=True, help="Stop at any request to stop after this one.")
@reporter_option
@tensorboard_option
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
    last_stop: float | None,
    reporter: tuple[str, ...],
    tensorboard: str | None,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
) -> int:
    """Attach one more worker to STUDY until its trials are finished.

    Ctrl-C, SIGTERM or SIGUSR2 stop it within a step: its trial is released with its checkpoint, any worker can resume
    it, and the exit code is 130. A trial that needs more memory than the worker's share fails, and the worker takes the
    next one. In a Slurm job it starts no trial that the remaining walltime is too short for.
    """
    stop = Stop()
    stop_at_signals(stop)
    log_to_stderr(timestamps=True)

    reporters = reporter_texts(reporter, tensorboard)
    # Torch and the database take seconds to load; a signal during that time must stop the worker, too.
    from hpo.launch.attach import attach

    done = attach(
        study_name,
        storage=storage,
        data_dir=data_dir,
        checkpoint_dir=checkpoint_dir,
        device=device,
        threads=threads,
        sharing=sharing,
        worker_name=worker_name,
        limit=limit,
        stop=stop,
        parent=parent,
        last_stop=last_stop,
        reporters=reporters,
    )
    if done.needs_restart:
        options = {
            "--threads": threads,
            "--sharing": sharing,
            "--worker-name": worker_name,
            "--limit": None if limit is None else limit - done.summary.finished,
            "--parent": parent,
            "--last-stop": None if last_stop is None else repr(last_stop),
            "--checkpoint-dir": checkpoint_dir,
            "--storage": "-",
            "--data-dir": data_dir,
            "--device": device,
        }
        _restart(study_name, options, reporters, done.address)
    # At 130 a job goes back into the queue and a container is restarted, which `hpo stop` must not cause.
    return 130 if done.summary.interrupted and not done.summary.drained else 0


def _restart(
    study_name: str, options: dict[str, str | int | None], reporters: tuple[str, ...], address: str
) -> NoReturn:
    """Replace this process by a new worker with the same PID, which reads the address from its standard input."""
    given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    given += [text for reporter in reporters for text in ("--reporter", reporter)]
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as pipe:
        pipe.write(address + "\n")
    os.dup2(readable, 0)
    os.execv(sys.executable, [*python_module("hpo"), "worker", *given, "--", study_name])


def stop_at_signals(stop: Stop) -> None:
    """Request a stop at SIGINT, SIGTERM and SIGUSR2, and answer at once; a second Ctrl-C kills this process."""

    echoes = Echoes()

    def answer(number: int, _frame: FrameType | None) -> None:
        if echoes.has(number):
            return
        was_asked, has_stopped = StopReason.SIGNAL in stop, stop.requested
        stop.request(StopReason.SIGNAL)
        if number == signal.SIGINT and was_asked:
            answer_at_once("hpo: killed; another worker resumes the trial from its last checkpoint")
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
            # The first process of a container is not killed by what it sends itself.
            os._exit(130)
        elif not has_stopped:
            answer_at_once("hpo: stopping after this step; Ctrl-C again kills the worker at once")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, answer)
