"""A side in a process of its own, so that none has another's allocator or thread settings."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from benchmarks.beside.loops import Measured
from hpo.training.machine.device import set_up_process

Epochs = Callable[[], Iterator[Measured]]


class Side:
    """One loop in its process, an epoch at a time.

    epochs: picklable. set_up: whether hpo's settings of a process hold. threads: for these; None leaves it to PyTorch.
    """

    def __init__(self, epochs: Epochs, set_up: bool, threads: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, epochs, set_up, threads))
        os.environ |= {"OMP_WAIT_POLICY": "passive"} if set_up else {}
        self._process.start()
        other.close()
        os.environ.pop("OMP_WAIT_POLICY", None)
        self._pipe.recv()

    def epoch(self) -> Measured:
        """The next epoch."""
        self.begin()
        return self.result()

    def begin(self) -> None:
        """Starts the next epoch and does not wait."""
        self._pipe.send("next")

    def result(self) -> Measured:
        """The epoch that was begun; raises RuntimeError if the process has failed."""
        try:
            measured: Measured = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a side's process ended; its error is above") from None
        return measured

    def end(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _serve(pipe: Connection, epochs: Epochs, set_up: bool, threads: int | None) -> None:
    if set_up:
        set_up_process(threads)
    pipe.send("ready")
    measured = epochs()
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(next(measured))
