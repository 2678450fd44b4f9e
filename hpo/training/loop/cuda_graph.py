"""A training step as a CUDA graph, where one can be recorded, computes the same and is faster."""

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
"""Steps that are done as they are, before one is recorded."""

_TIMED_STEPS = 5
_TOLERANCE = 0.1

_VERDICTS: dict[Hashable, bool] = {}
"""Whether the graphs of this process pay, by the kind of step."""


@dataclass(frozen=True, eq=False)
class GraphableStep:
    """A step that could be recorded. All of it happens on the current stream of the device.

    step: (B,) row numbers on the device to loss and logits; changes weights and all else in place. random: what it
    draws from. state: all that it changes, its generator aside. kind: equal for steps whose kernels are the same.
    """

    step: Step
    random: torch.Generator
    state: Callable[[], Any]
    kind: Hashable


def record(step: Step, rows: Tensor, random: torch.Generator) -> Replay:
    """Records a step that reads `rows`, a tensor to be filled anew for each replay; raises RuntimeError if it cannot.

    On the current stream, which may not be the device's default: what libraries keep for a stream, such as cuBLAS's
    workspace, then belongs to this graph and no other. `random` stays as it is; a replay draws from where it then is.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(random)
    stream = torch.cuda.current_stream(rows.device)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        loss, logits = step(rows)

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        return loss.clone(), logits.clone()

    return replay


class StepGraph:
    """A step done as it is at first, and from then on by replay.

    The first steps warm up what a recording may not do: cuDNN's choice of kernels, cuBLAS's workspaces, the optimizer's
    state. At the first recording of a kind of step in this process both ways are tried on a copy of the state; if they
    differ, or the replay is no faster, or nothing can be recorded, steps of that kind are done as they are.
    """

    def __init__(self, subject: GraphableStep, record: Callable[..., Replay] = record) -> None:
        self._subject, self._record = subject, record
        self._done = 0
        self._rows: Tensor | None = None
        self._replay: Replay | None = None

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and logits of the step on (B,) row numbers."""
        if self._replay is None and self._done == FIRST_STEPS and _VERDICTS.get(self._subject.kind, True):
            self._take_up(rows)
        self._done += 1
        if self._replay is None or self._rows is None:
            return self._subject.step(rows)
        self._rows.copy_(rows)
        return self._replay()

    def _take_up(self, rows: Tensor) -> None:
        """Records the step, and keeps the recording if it is good."""
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
        as_it_is = _try(lambda: subject.step(rows), kept)
        replayed = _try(replay, kept)
        times = f"{replayed.seconds * 1e3:.2f} ms a step, {as_it_is.seconds * 1e3:.2f} ms as it is"
        difference = replayed.difference(as_it_is)
        if not difference <= _TOLERANCE:
            _log.warning("steps are not replayed as a CUDA graph, which differs by %.2g of an update", difference)
            return False
        pays = replayed.seconds < as_it_is.seconds
        _log.info("steps are %sreplayed as a CUDA graph: %s", "" if pays else "not ", times)
        return pays


class _Kept:
    """A copy of what a step changes."""

    def __init__(self, subject: GraphableStep) -> None:
        self._subject = subject
        self.before = [tensor.clone() for tensor in _tensors(subject.state())]
        self._random = subject.random.get_state()

    def now(self) -> list[Tensor]:
        """The tensors themselves, as they are by now."""
        return list(_tensors(self._subject.state()))

    def restore(self) -> None:
        """Makes everything as it was."""
        with torch.no_grad():
            for tensor, before in zip(self.now(), self.before, strict=True):
                tensor.copy_(before)
        self._subject.random.set_state(self._random)


@dataclass(frozen=True, eq=False)
class _Trial:
    """What one way of doing a step did to the loss, the logits and the state, and the seconds of a later one."""

    outcome: list[Tensor]
    changes: list[Tensor]
    seconds: float

    def difference(self, other: _Trial) -> float:
        """Largest of: the difference of loss and logits, and of the updates, each relative to the other's size."""
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
    """The tensors in nested dicts and lists, in their order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)
