"""Inspect the machine in a child process that loads torch, so that the parent stays small."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from hpo.errors import DeviceError
from hpo.revision import code_version
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring

if TYPE_CHECKING:
    from hpo.data.development import Development


P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Surroundings:
    """A device and the packages that use it.

    Attributes:
        kind: cpu or cuda.
        memory: bytes of the device, or main memory for a CPU.
        context: bytes of GPU memory that each process holds besides PyTorch's tensors.
        environment: versions and device by name, as in the record of a trial.
    """

    kind: str
    memory: int
    context: int
    environment: dict[str, str]


class Probe:
    """The machine as PyTorch sees it; a context manager that ends its child process."""

    def __init__(self) -> None:
        self._child = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=live_with_parent,
            initargs=(os.getpid(),),
        )

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # The child ignores Ctrl-C, and Python would wait at its end for what is being measured.
        for process in list((self._child._processes or {}).values()) if error is not None else ():
            process.kill()
        self._child.shutdown(wait=error is None, cancel_futures=True)

    def _ask(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Call a function in the child.

        Raises:
            DeviceError: if training fails there, as for lack of memory, or the child is killed.
        """
        try:
            with without_main():
                asked = self._child.submit(_in_words, partial(function, *given, **named))
            return asked.result()
        except BrokenProcessPool:
            raise DeviceError(
                "the process that measures this machine was killed; is the memory too small? `dmesg` shows what was "
                "killed"
            ) from None

    def gpus(self, device: str) -> int:
        """Return the number of CUDA devices. Raises DeviceError if `device` does not exist."""
        return self._ask(_gpus, device)

    def surroundings(self, device: str) -> Surroundings:
        """Describe a device and the packages that use it. Raises DeviceError if it does not exist."""
        return self._ask(_surroundings, device)

    def code_version(self) -> str:
        """Return the commit of the running code."""
        return self._ask(_code_version)

    def epoch_seconds(self, config: TrainConfig, scoring: Scoring, development: Development, device: str) -> float:
        """Measure the seconds of an epoch of a configuration over all folds, one by one, scoring included."""
        return self._ask(_epoch_seconds, config, scoring, development, device)

    def worker_bytes(self, config: TrainConfig, development: Development, folds: int) -> int:
        """Predict the peak memory of a worker on a CPU that trains this configuration on `folds` folds, one by one."""
        return self._ask(_worker_bytes, config, development, folds)


@contextmanager
def without_main() -> Iterator[None]:
    """Let processes that are started within run nothing of the main module.

    Python would run it in each of them: a script that calls `hpo.launch` at its top would launch there again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _in_words(call: Callable[[], T]) -> T:
    """Call a function; raise DeviceError where training fails: a trial would, too, but there is none yet."""
    try:
        return call()
    except Exception as error:
        from hpo.training.machine.failure import TrainingFailure
        from hpo.training.machine.limits import ProcessTainted

        if not isinstance(error, (TrainingFailure, ProcessTainted)):
            raise
        raise DeviceError(f"a training step cannot be measured here: {error}") from None


def live_with_parent(parent: int) -> None:
    """Ignore Ctrl-C, and end this process if the parent is killed, which Python's pool does not do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _gpus(device: str) -> int:
    from hpo.training.machine.device import choose_device, gpu_count

    choose_device(device)
    return gpu_count()


def _surroundings(device: str) -> Surroundings:
    from hpo.training.machine.device import CONTEXT_BYTES, choose_device, describe_device
    from hpo.training.machine.provenance import environment

    kind, described = choose_device(device).type, describe_device(device)
    context = 0 if kind == "cpu" else CONTEXT_BYTES
    return Surroundings(kind, described["memory"], context, environment(device))


def _code_version() -> str:
    return code_version()[0]


def _epoch_seconds(config: TrainConfig, scoring: Scoring, development: Development, device: str) -> float:
    from hpo.data.folds import scoring_folds
    from hpo.training.machine.device import set_up_process
    from hpo.training.probe.step_time import seconds_per_epoch

    set_up_process()
    return seconds_per_epoch(config, development, scoring_folds(development, scoring, trial_seed=0), device)


def _worker_bytes(config: TrainConfig, development: Development, folds: int) -> int:
    from hpo.training.probe.memory import predicted_peak

    return predicted_peak(config, development, folds)
