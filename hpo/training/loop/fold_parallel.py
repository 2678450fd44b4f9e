"""Train folds in parallel: in threads on a CPU, on streams on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.fold import Work
from hpo.training.machine.device import Machine, compute_with_one_thread, memory_share, one_thread
from hpo.training.machine.limits import process_cores
from hpo.training.report import FoldReport

Works = Mapping[int, Work]
Reports = dict[int, FoldReport]
Rounds = Generator[Reports, None, None]

_SHARE_OF_MEMORY = 1 / 3
_STEP_BYTES, _BYTES_PER_PIXEL = {2: 110e6, 3: 150e6}, {2: 5400, 3: 4100}


class FoldExecutor(Protocol):
    """A way to train the folds of a trial. size: the largest number of folds that are trained at the same time."""

    size: int

    def describe(self) -> str:
        """Describe itself, such as `5 folds, 2 side by side, 1 thread each`."""

    def turn(self, fold: int) -> AbstractContextManager[object]:
        """Return the context in which everything that belongs to a fold must be created; for any fold at any time."""

    def rounds(self, works: Works) -> Rounds:
        """Do one unit of each work in parallel, yield the reports of the works that ended, and repeat to the end.

        works: at most `size`, of any folds. No unit is in progress when it yields. If units raise, the first fold's
        error is raised after the others' units.
        """

    def settle(self) -> None:
        """Wait until the device has finished its queue, so that runs can be saved."""


def choose_fold_executor(config: TrainConfig, dataset: Dataset, folds: int, machine: Machine) -> FoldExecutor:
    """Choose how to train `folds` folds; what they compute on a CPU does not depend on it.

    As many folds run at a time as fit in a third of the memory that this process may hold; on a CPU one per core at
    most, because a second thread brings a network little and costs it dearly beside other work.
    """
    available = memory_share(machine.device) * _SHARE_OF_MEMORY
    size = max(1, min(folds, int(available / step_bytes(config, dataset))))
    if machine.device.type == "cuda":
        return OnStreams(folds, size, machine.device)
    return InThreads(folds, min(size, process_cores()))


def step_bytes(config: TrainConfig, dataset: Dataset) -> int:
    """Estimate the peak memory of a step in float32 besides weights and optimizer; bf16 needs less.

    A constant for gradients and work space, plus a part per pixel of the batch for activations. Fitted to the measured
    peak of a step on a CPU, with 16 and 48 images of 28 pixels, 8 and 16 volumes of edge 14: benchmarks/step_memory.py.
    """
    edge = dataset.edge(config.input_size)
    pixels: int = config.batch_size * edge**dataset.dimensions
    return int(_STEP_BYTES[dataset.dimensions] + pixels * _BYTES_PER_PIXEL[dataset.dimensions])


def cut(folds: int, size: int) -> list[range]:
    """Split the folds into groups of `size`, the last one smaller if need be."""
    return [range(low, min(low + size, folds)) for low in range(0, folds, size)]


class InThreads:
    """Each fold in a thread of its own that computes with one PyTorch thread; by the caller, likewise, if size is 1.

    The other threads live as long as this object.
    """

    def __init__(self, folds: int, size: int) -> None:
        self.size, self._folds = size, folds
        self._threads = ThreadPoolExecutor(size, "fold") if size > 1 else None

    def describe(self) -> str:
        """As FoldExecutor's."""
        return f"{_describe(self._folds, self.size)}, 1 thread each"

    def turn(self, fold: int) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return the context of one PyTorch thread."""
        return one_thread()

    def rounds(self, works: Works) -> Rounds:
        """As FoldExecutor's."""
        threads = self._threads
        if threads is None:
            return _rounds(works, lambda left: _in_turn(left, self.turn))
        return _rounds(works, lambda left: _at_once(left, threads))

    def settle(self) -> None:
        """Do nothing: no work is pending between rounds."""


class OnStreams:
    """Each fold on a CUDA stream of its own, fed in turn by one thread, so that the device overlaps them."""

    def __init__(self, folds: int, size: int, device: torch.device) -> None:
        self.size, self._folds, self._device = size, folds, device
        self._streams: dict[int, torch.cuda.Stream] = {}

    def describe(self) -> str:
        """As FoldExecutor's."""
        return f"{_describe(self._folds, self.size)}, a stream each"

    def turn(self, fold: int) -> AbstractContextManager[object]:
        """Return the context of the fold's stream, so that its memory is not reused by another."""
        if fold not in self._streams:
            self._streams[fold] = _new_stream(self._device)
            self._streams[fold].wait_stream(torch.cuda.current_stream(self._device))
        return torch.cuda.stream(self._streams[fold])

    def rounds(self, works: Works) -> Rounds:
        """See FoldExecutor; but units queued on the device may still be running there."""
        try:
            yield from _rounds(works, lambda left: _in_turn(left, self.turn))
        finally:
            self.settle()

    def settle(self) -> None:
        """As FoldExecutor's."""
        torch.cuda.synchronize(self._device)


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Run on a new CUDA stream, which the caller's stream waits for at the end; no effect on a CPU."""
    if device.type != "cuda":
        yield
        return
    caller, own = torch.cuda.current_stream(device), _new_stream(device)
    own.wait_stream(caller)
    try:
        with torch.cuda.stream(own):
            yield
    finally:
        caller.wait_stream(own)


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def _describe(folds: int, size: int) -> str:
    return f"{folds} folds, {size} side by side" if size > 1 else f"{folds} fold{'s, one by one' if folds > 1 else ''}"


def _rounds(works: Works, do_units: Callable[[Works], Reports]) -> Rounds:
    left = dict(works)
    while left:
        ended = do_units(left)
        left = {fold: work for fold, work in left.items() if fold not in ended}
        yield ended


def _in_turn(works: Works, turn: Callable[[int], AbstractContextManager[object]]) -> Reports:
    ended: Reports = {}
    for fold, work in works.items():
        with turn(fold):
            report = _do_unit(work)
        if report is not None:
            ended[fold] = report
    return ended


def _at_once(works: Works, threads: ThreadPoolExecutor) -> Reports:
    # Each thread has a number of its own, but setting it also sets that of threads yet to come: restore the caller's.
    with one_thread():
        units = {fold: threads.submit(_do_unit_on_one_thread, work) for fold, work in works.items()}
        wait(units.values())
    return {fold: report for fold, unit in units.items() if (report := unit.result()) is not None}


def _do_unit_on_one_thread(work: Work) -> FoldReport | None:
    compute_with_one_thread()
    return _do_unit(work)


def _do_unit(work: Work) -> FoldReport | None:
    try:
        next(work)
    except StopIteration as end:
        report: FoldReport = end.value
        return report
    return None
