"""Replay a training step as a CUDA graph, if it can be recorded, computes the same and is faster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hpo.errors import first_line

_log = logging.getLogger(__name__)

Step = Callable[[Tensor], tuple[Tensor, Tensor]]
Replay = Callable[[], tuple[Tensor, Tensor]]

FIRST_STEPS = 3
"""Eager warm-up steps before one is recorded."""

_TIMED_STEPS = 5
_TOLERANCE = 0.1

_VERDICTS: dict[Hashable, bool] = {}
"""Whether graphs are faster in this process, by kind of step."""


@dataclass(frozen=True, eq=False)
class GraphableStep:
    """A step that could be recorded; all of it runs on the device's current stream.

    Attributes:
        step: (B,) sample numbers on the device to loss and logits; changes weights and all other state in place.
        random: the generator that it draws from.
        state: everything that it changes, except the generator.
        kind: equal for steps that run the same kernels.
    """

    step: Step
    random: torch.Generator
    state: Callable[[], Any]
    kind: Hashable


def record(step: Step, rows: Tensor, random: torch.Generator) -> Replay:
    """Record a step that reads `rows`, a tensor to be refilled before each replay. Raises RuntimeError on failure.

    Recorded on the current stream, which may differ from the device's default: per-stream resources of libraries, such
    as cuBLAS's workspace, then belong to this graph alone. `random` is not advanced; a replay draws from its state at
    that time.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(random)
    stream = torch.cuda.current_stream(rows.device)
    try:
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            loss, logits = step(rows)
    except RuntimeError:
        _forget_recording(random)
        raise

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        return loss.clone(), logits.clone()

    return replay


def _forget_recording(random: torch.Generator) -> None:
    """Give a generator a state of its own again: after a failed recording it refuses to draw outside of one."""
    fresh = torch.Generator(random.device)
    fresh.set_state(random.get_state())
    random.graphsafe_set_state(fresh.graphsafe_get_state())


class StepGraph:
    """A step that runs eagerly at first, and by replay from then on.

    The first steps warm up what must not happen during recording: cuDNN's choice of kernels, cuBLAS's workspaces,
    creation of optimizer state. At the first recording of a kind of step in this process both ways are tried on a copy
    of the state; steps of that kind stay eager if the results differ, the replay is no faster, or recording fails.
    """

    def __init__(self, subject: GraphableStep, record: Callable[..., Replay] = record) -> None:
        self._subject, self._record = subject, record
        self._done = 0
        self._rows: Tensor | None = None
        self._replay: Replay | None = None

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Run the step on (B,) sample numbers and return loss and logits."""
        if self._replay is None and self._done == FIRST_STEPS and _VERDICTS.get(self._subject.kind, True):
            self._try_recording(rows)
        self._done += 1
        # Batches are smaller than the recorded one where samples are left out of a training set of less than a batch.
        if self._replay is None or self._rows is None or rows.shape != self._rows.shape:
            return self._subject.step(rows)
        self._rows.copy_(rows)
        return self._replay()

    def _try_recording(self, rows: Tensor) -> None:
        """Record the step, and keep the recording if it is correct and faster."""
        subject = self._subject
        kept = _Kept(subject)
        self._rows = rows.clone()
        try:
            replay = self._record(subject.step, self._rows, subject.random)
            if subject.kind not in _VERDICTS:
                _VERDICTS[subject.kind] = self._is_worth_it(replay, kept)
            self._replay = replay if _VERDICTS[subject.kind] else None
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            _VERDICTS[subject.kind] = False
            _log.info("steps are not replayed as a CUDA graph: recording failed: %s", first_line(error))
        finally:
            kept.restore()

    def _is_worth_it(self, replay: Replay, kept: _Kept) -> bool:
        assert self._rows is not None
        rows, subject = self._rows, self._subject
        eager = _try(lambda: subject.step(rows), kept)
        replayed = _try(replay, kept)
        difference = replayed.difference(eager)
        times = (
            f"{replayed.seconds * 1e3:.2f} ms a step, {eager.seconds * 1e3:.2f} ms eager; "
            f"they differ by {difference:.1g} of an update"
        )
        if not difference <= _TOLERANCE:
            _log.warning("steps are not replayed as a CUDA graph, which differs by %.2g of an update", difference)
            return False
        pays = replayed.seconds < eager.seconds
        _log.info("steps are %sreplayed as a CUDA graph: %s", "" if pays else "not ", times)
        return pays


class _Kept:
    """A copy of what a step changes."""

    def __init__(self, subject: GraphableStep) -> None:
        self._subject = subject
        self.before = [tensor.clone() for tensor in _tensors(subject.state())]
        self._random = subject.random.get_state()

    def now(self) -> list[Tensor]:
        """Return the live tensors."""
        return list(_tensors(self._subject.state()))

    def restore(self) -> None:
        """Restore the copied state."""
        with torch.no_grad():
            for tensor, before in zip(self.now(), self.before, strict=True):
                tensor.copy_(before)
        self._subject.random.set_state(self._random)


@dataclass(frozen=True, eq=False)
class _Trial:
    """The effect of one way of running a step on loss, logits and state, and the seconds of a later step."""

    outcome: list[Tensor]
    changes: list[Tensor]
    seconds: float

    def difference(self, other: _Trial) -> float:
        """Return the largest difference of loss, logits and updates, each relative to the other's size."""
        outcomes = zip((self.outcome, self.changes), (other.outcome, other.changes), strict=True)
        return max(_distance(mine, theirs) for mine, theirs in outcomes)


def _try(step: Callable[[], tuple[Tensor, Tensor]], kept: _Kept) -> _Trial:
    kept.restore()
    outcome = list(step())
    changes = [after - before for after, before in zip(kept.now(), kept.before, strict=True)]
    _wait_for(outcome[0])
    start = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        step()
    _wait_for(outcome[0])
    return _Trial(outcome, changes, (time.perf_counter() - start) / _TIMED_STEPS)


def _distance(mine: list[Tensor], theirs: list[Tensor]) -> float:
    gap, size = (
        torch.stack([part.double().square().sum() for part in parts]).sum().sqrt()
        for parts in ([one - other for one, other in zip(mine, theirs, strict=True)], theirs)
    )
    return float(gap / size)


def _wait_for(tensor: Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)


def _tensors(state: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested dicts and lists, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)
