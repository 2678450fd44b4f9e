"""Train the same configuration in several processes on one device at once, as a study's workers would."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hpo.launch.probe import live_with_parent, without_main
from hpo.launch.sizing.tuning import MeasurementError
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.probe.peak import Peak

if TYPE_CHECKING:
    from hpo.data.development import Development

WARM_STEPS = 2
"""Warm-up steps of each process: the first ones compile kernels, record graphs and allocate memory."""

MEASURED_STEPS = 3
MEASURED_SECONDS = 4.0
"""Least steps and seconds over which each process is measured, while all the others train."""

PATIENCE = 120.0
"""Seconds to wait for an answer."""


@dataclass(frozen=True)
class WorkerPool:
    """What the processes train. typical: for the throughput; heaviest: for the memory."""

    typical: TrainConfig
    heaviest: TrainConfig
    development: Development
    scoring: Scoring
    device: str


class Crowd:
    """A growing set of processes; a context manager that ends them."""

    def __init__(self, rehearsal: WorkerPool) -> None:
        self._rehearsal = rehearsal
        self._spawn = multiprocessing.get_context("spawn")
        self._members: list[tuple[Any, Connection]] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for process, pipe in self._members:
            pipe.close()
            process.kill()
            process.join()

    def peak(self) -> Peak:
        """Measure the memory of one worker on the heaviest configuration. Raises MeasurementError."""
        self._grow(1)
        _, pipe = self._members[0]
        _send(pipe, "peak")
        peak: Peak = _answer(pipe, "peak")
        return peak

    def rate(self, count: int) -> float:
        """Measure the samples per second of `count` processes together. Raises MeasurementError."""
        self._grow(count)
        pipes = [pipe for _, pipe in self._members[:count]]
        for pipe in pipes:
            _send(pipe, "train")
        for pipe in pipes:
            _answer(pipe, "warm")
        for pipe in pipes:
            _send(pipe, "go")
        rates: list[float] = [_answer(pipe, "rate") for pipe in pipes]
        for pipe in pipes:
            _send(pipe, "stop")
        for pipe in pipes:
            _answer(pipe, "stopped")
        return sum(rates)

    def _grow(self, count: int) -> None:
        while len(self._members) < count:
            here, there = self._spawn.Pipe()
            process = self._spawn.Process(target=_member, args=(there, os.getpid(), self._rehearsal), daemon=True)
            with without_main():
                process.start()
            there.close()
            self._members.append((process, here))


def _send(pipe: Connection, message: str) -> None:
    try:
        pipe.send(message)
    except OSError:
        raise MeasurementError("a process ended unexpectedly; was there too little memory?") from None


def _answer(pipe: Connection, wanted: str) -> Any:
    try:
        if not pipe.poll(PATIENCE):
            raise MeasurementError(f"no answer within {PATIENCE:.0f} s")
        kind, value = pipe.recv()
    except (EOFError, OSError):
        raise MeasurementError("a process ended unexpectedly; was there too little memory?") from None
    if kind != wanted:
        raise MeasurementError(str(value))
    return value


def _member(pipe: Connection, parent: int, rehearsal: WorkerPool) -> None:
    """Run one process: execute commands until it is ended."""
    live_with_parent(parent)
    try:
        _run_commands(pipe, rehearsal)
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        # Whatever it was, the launch continues without a measurement.
        pipe.send(("failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"))


def _run_commands(pipe: Connection, rehearsal: WorkerPool) -> None:
    from hpo.data.folds import scoring_folds
    from hpo.training.machine.device import set_up_process
    from hpo.training.probe.memory import peak_of, train_on

    development, device = rehearsal.development, rehearsal.device
    folds = scoring_folds(development, rehearsal.scoring, trial_seed=0)
    set_up_process()
    while True:
        if pipe.recv() == "peak":
            pipe.send(("peak", peak_of(rehearsal.heaviest, development, folds, device)))
        else:
            train_on(rehearsal.typical, development, folds, device, Pace(pipe).more)
            pipe.send(("stopped", None))


class Pace:
    """Decide after each step of a training process: warm up, measure once all are warm, go on until all are measured.

    Args:
        clock: seconds.
    """

    def __init__(self, pipe: Connection, clock: Callable[[], float] = time.perf_counter) -> None:
        self._pipe, self._clock = pipe, clock
        self._rows = 0.0
        self._steps = 0
        self._start: tuple[float, float] | None = None
        self._has_reported = False

    def more(self, rows: float) -> bool:
        """Take the number of samples trained on so far, unchanged by scoring; return whether to continue."""
        if self._pipe.poll():
            if self._pipe.recv() == "stop":
                return False
            self._start, self._steps = (self._clock(), rows), 0
        elif rows > self._rows:
            self._step(rows)
        self._rows = rows
        return True

    def _step(self, rows: float) -> None:
        self._steps += 1
        if self._start is None:
            if self._steps == WARM_STEPS:
                self._pipe.send(("warm", None))
            return
        began, before = self._start
        seconds = self._clock() - began
        if not self._has_reported and self._steps >= MEASURED_STEPS and seconds >= MEASURED_SECONDS:
            self._pipe.send(("rate", (rows - before) / seconds))
            self._has_reported = True
