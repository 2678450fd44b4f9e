"""Train folds in parallel: in threads on a CPU, on streams on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch

from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.fold import Work
from hpo.training.machine.device import Machine, memory_share
from hpo.training.report import FoldReport

Works = Mapping[int, Work]
Reports = dict[int, FoldReport]
Rounds = Generator[Reports, None, None]

_SHARE_OF_MEMORY = 1 / 3
_STEP_BYTES, _BYTES_PER_PIXEL = {2: 110e6, 3: 150e6}, {2: 5400, 3: 4100}


class FoldExecutor(Protocol):
    """A way to train the folds of a trial. groups: numbers of the folds that are trained at the same time."""

    groups: list[range]

    def describe(self) -> str:
        """Describe itself, such as `2 of 5 folds side by side, 1 thread each`."""

    def turn(self, fold: int) -> AbstractContextManager[object]:
        """Return the context in which everything that belongs to a fold must be created."""

    def rounds(self, group: range, works: Works) -> Rounds:
        """Do one unit of each work in parallel, yield the reports of the works that ended, and repeat to the end.

        works: of folds of the group. No unit is in progress when it yields. If units raise, the first fold's error is
        raised after the others' units.
        """

    def settle(self) -> None:
        """Wait until the device has finished its queue, so that runs can be saved."""


def choose_fold_executor(config: TrainConfig, dataset: Dataset, folds: int, machine: Machine) -> FoldExecutor:
    """Choose how to train `folds` folds; deterministic given the arguments and, on a CPU, PyTorch's number of threads.

    As many folds run at a time as fit in a third of the memory that this process may hold. Volumes are trained one by
    one on a CPU: whether they gain there has not been measured.
    """
    available = memory_share(machine.device) * _SHARE_OF_MEMORY
    most = max(1, int(available / step_bytes(config, dataset)))
    if machine.device.type == "cuda":
        return OnStreams(cut(folds, most), machine.device)
    threads = torch.get_num_threads()
    most = most if dataset.dimensions == 2 else 1
    return InThreads(cut(folds, best_size(folds, threads, most)), threads)


def step_bytes(config: TrainConfig, dataset: Dataset) -> int:
    """Estimate the peak memory of a step in float32 besides weights and optimizer; bf16 needs less.

    A constant for gradients and work space, plus a part per pixel of the batch for activations. Fitted to the measured
    peak of a step on a CPU, with 16 and 48 images of 28 pixels, 8 and 16 volumes of edge 14: benchmarks/step_memory.py.
    """
    edge = min(config.input_size, dataset.size)
    pixels: int = config.batch_size * edge**dataset.dimensions
    return int(_STEP_BYTES[dataset.dimensions] + pixels * _BYTES_PER_PIXEL[dataset.dimensions])


def best_size(folds: int, threads: int, most: int) -> int:
    """Return how many folds to train at a time: the fastest if threads scale linearly, else the most."""

    def time(size: int) -> float:
        return sum(1 / (threads // len(group)) for group in cut(folds, size))

    return min(range(1, min(folds, threads, most) + 1), key=lambda size: (round(time(size), 9), -size))


def cut(folds: int, size: int) -> list[range]:
    """Split the folds into groups of `size`, the last one smaller if need be."""
    return [range(low, min(low + size, folds)) for low in range(0, folds, size)]


class InThreads:
    """Each fold of a group in a thread of its own, with an equal share of PyTorch's intra-op threads.

    A group of one is trained in the calling thread. The other threads live as long as this object.
    """

    def __init__(self, groups: list[range], threads: int) -> None:
        self.groups, self._threads = groups, threads
        seats = len(groups[0]) if len(groups[0]) > 1 else 0
        self._seats = [ThreadPoolExecutor(1, f"fold {seat}") for seat in range(seats)]

    def describe(self) -> str:
        """As FoldExecutor's."""
        each = self._threads // len(self.groups[0])
        return f"{_describe(self.groups)}, {each} thread{'s' if each > 1 else ''} each"

    def turn(self, fold: int) -> AbstractContextManager[object]:  # noqa: ARG002
        """Return a null context: a fold may be created anywhere."""
        return nullcontext()

    def rounds(self, group: range, works: Works) -> Rounds:
        """As FoldExecutor's."""
        if len(group) == 1:
            return _rounds(works, _in_turn)
        each = self._threads // len(group)
        wait([seat.submit(_compute_with, each) for seat in self._seats])
        # The workers also set the number for threads yet to come, so restore the caller's.
        torch.set_num_threads(self._threads)
        seats = dict(zip(group, self._seats, strict=False))
        return _rounds(works, lambda left: _at_once(left, seats))

    def settle(self) -> None:
        """Do nothing: no work is pending between rounds."""


class OnStreams:
    """Each fold on a CUDA stream of its own, fed in turn by one thread, so that the device overlaps them."""

    def __init__(self, groups: list[range], device: torch.device) -> None:
        self.groups, self._device = groups, device
        self._streams = [_new_stream(device) for group in groups for _ in group]
        for stream in self._streams:
            stream.wait_stream(torch.cuda.current_stream(device))

    def describe(self) -> str:
        """As FoldExecutor's."""
        return f"{_describe(self.groups)}, a stream each"

    def turn(self, fold: int) -> AbstractContextManager[object]:
        """Return the context of the fold's stream, so that its memory is not reused by another."""
        return torch.cuda.stream(self._streams[fold])

    def rounds(self, group: range, works: Works) -> Rounds:  # noqa: ARG002
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


def _describe(groups: list[range]) -> str:
    folds, size = sum(map(len, groups)), len(groups[0])
    return f"{folds} folds, {size} side by side" if size > 1 else f"{folds} fold{'s, one by one' if folds > 1 else ''}"


def _rounds(works: Works, do_units: Callable[[Works], Reports]) -> Rounds:
    left = dict(works)
    while left:
        ended = do_units(left)
        left = {fold: work for fold, work in left.items() if fold not in ended}
        yield ended


def _in_turn(works: Works, turn: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext()) -> Reports:
    ended: Reports = {}
    for fold, work in works.items():
        with turn(fold):
            report = _do_unit(work)
        if report is not None:
            ended[fold] = report
    return ended


def _compute_with(threads: int) -> None:
    torch.set_num_threads(threads)
    # A thread's first query would set the number to the process's, and OpenMP creates its threads on first use.
    torch.get_num_threads()
    torch.ones(1 << 20).sum()


def _at_once(works: Works, seats: Mapping[int, ThreadPoolExecutor]) -> Reports:
    units = {fold: seats[fold].submit(_do_unit, work) for fold, work in works.items()}
    wait(units.values())
    return {fold: report for fold, unit in units.items() if (report := unit.result()) is not None}


def _do_unit(work: Work) -> FoldReport | None:
    try:
        next(work)
    except StopIteration as end:
        report: FoldReport = end.value
        return report
    return None
