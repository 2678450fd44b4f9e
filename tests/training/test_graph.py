"""When a step is replayed from a recording, with recordings that are made of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.data.development import Development
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop import cuda_graph
from hpo.training.loop.cuda_graph import FIRST_STEPS, GraphableStep, Replay, Step, StepGraph
from hpo.training.loop.fold import Run, complete
from hpo.training.machine.device import choose_machine
from tests.mention import numbers_in, unmentioned

CPU = torch.device("cpu")
ROWS = torch.tensor([0, 2, 3])
CAPTURING = "operation not permitted when stream is capturing"
"""How CUDA refuses what cannot be recorded."""


class Toy:
    """A step with weights, a sum that it keeps and random numbers; what it does takes no time but what `clock` says."""

    def __init__(self) -> None:
        self.weights = torch.zeros(4, dtype=torch.float64)
        self.random = torch.Generator().manual_seed(0)
        self.called = 0

    def step(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.called += 1
        drawn = torch.rand(len(rows), generator=self.random, dtype=torch.float64)
        self.weights[rows] += drawn
        return drawn.sum(), drawn[:, None]

    @property
    def subject(self) -> GraphableStep:
        return GraphableStep(self.step, self.random, lambda: [{"weights": self.weights}], "toy")


@pytest.fixture(autouse=True)
def no_verdicts(monkeypatch: pytest.MonkeyPatch) -> dict[Any, bool]:
    verdicts: dict[Any, bool] = {}
    monkeypatch.setattr(cuda_graph, "_VERDICTS", verdicts)
    return verdicts


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """times(as_it_is, replayed): seconds that the rehearsal will read for five steps of each."""

    def become(as_it_is: float, replayed: float) -> None:
        readings: Iterator[float] = iter([0.0, as_it_is, 0.0, replayed])
        monkeypatch.setattr("hpo.training.loop.cuda_graph.time.perf_counter", lambda: next(readings))

    return become


def honest(replays: list[int]) -> Callable[..., Replay]:
    def record(step: Step, rows: Tensor, random: torch.Generator) -> Replay:
        def replay() -> tuple[Tensor, Tensor]:
            replays.append(1)
            return step(rows)

        return replay

    return record


def wrong(step: Step, rows: Tensor, random: torch.Generator) -> Replay:
    return lambda: step(rows.roll(1).clamp(min=1))


def half_done(step: Step, rows: Tensor, random: torch.Generator) -> Replay:
    """Spoils the state, as a recording that fails half-way might, and raises."""
    step(rows)
    raise RuntimeError(f"{CAPTURING}\nmore")


def batches(count: int) -> list[Tensor]:
    return [ROWS.roll(number) for number in range(count)]


def outcome(step: Step, count: int = 8) -> list[Tensor]:
    return [part for rows in batches(count) for part in step(rows)]


def plain() -> tuple[list[Tensor], Tensor]:
    toy = Toy()
    return outcome(toy.step), toy.weights


def assert_as_plain(results: list[Tensor], toy: Toy) -> None:
    expected, weights = plain()
    assert all(torch.equal(x, y) for x, y in zip(results, expected, strict=True))
    assert torch.equal(toy.weights, weights)


def test_a_faster_recording_replaces_the_step_after_the_first_ones_and_changes_nothing(
    times: Any, no_verdicts: dict[Any, bool], log: list[str]
) -> None:
    times(0.02, 0.01)
    toy, replays = Toy(), list[int]()
    assert_as_plain(outcome(StepGraph(toy.subject, honest(replays))), toy)
    rehearsed = 1 + 5
    assert len(replays) == rehearsed + 8 - FIRST_STEPS
    assert [numbers_in(line) for line in log] == [[2.0, 4.0, 0.0]]
    assert no_verdicts == {"toy": True}


def test_a_recording_that_is_no_faster_is_not_used(times: Any, no_verdicts: dict[Any, bool], log: list[str]) -> None:
    times(0.01, 0.02)
    toy, replays = Toy(), list[int]()
    assert_as_plain(outcome(StepGraph(toy.subject, honest(replays))), toy)
    assert len(replays) == 1 + 5
    assert [numbers_in(line) for line in log] == [[4.0, 2.0, 0.0]]
    assert no_verdicts == {"toy": False}


def test_a_recording_that_computes_something_else_is_not_used(no_verdicts: dict[Any, bool], log: list[str]) -> None:
    toy = Toy()
    assert_as_plain(outcome(StepGraph(toy.subject, wrong)), toy)
    assert len(log) == 1
    assert no_verdicts == {"toy": False}


def test_a_step_that_cannot_be_recorded_goes_on_as_it_is_and_says_so_once(
    no_verdicts: dict[Any, bool], log: list[str]
) -> None:
    toy = Toy()
    assert_as_plain(outcome(StepGraph(toy.subject, half_done)), toy)
    (line,) = log
    assert unmentioned(line, CAPTURING) == []
    assert "\n" not in line
    assert no_verdicts == {"toy": False}


def test_memory_that_is_refused_while_recording_is_no_reason_to_go_on() -> None:
    def refuse(*_: Any) -> Replay:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        outcome(StepGraph(Toy().subject, refuse))


def test_a_kind_of_step_is_tried_once_in_a_process(times: Any, log: list[str]) -> None:
    times(0.02, 0.01)
    outcome(StepGraph(Toy().subject, honest([])))
    log.clear()
    toy, replays = Toy(), list[int]()
    assert_as_plain(outcome(StepGraph(toy.subject, honest(replays))), toy)
    assert len(replays) == 8 - FIRST_STEPS
    assert log == []
    cuda_graph._VERDICTS["toy"] = False
    assert_as_plain(outcome(StepGraph(Toy().subject, half_done)), toy)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "aucm_v2", "weight_average": "ema", "augmentation": "full", "epoch_decay": 0.01},
        {"loss": "cross_entropy", "optimizer": "adam"},
        {"loss": "compositional", "epoch_decay": 0.01, "clip_norm": 0.1},
        {"sam": 0.1, "ghost_batch": 4, "class_means": "running"},
    ],
)
def test_a_run_that_rehearses_a_graph_trains_as_if_it_had_not(
    development: Development, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))
    config = TrainConfig(**({"batch_size": 8, "input_size": 4, "precision": "fp32"} | settings))
    machine, resident = choose_machine(CPU, 2, "fp32"), make_device_dataset(development, 4, CPU)
    replays, reports = list[int](), []
    for rehearses in (False, True):
        run = Run(config, development, resident, np.arange(44), 2, 0, machine)
        if rehearses:
            run._graph = StepGraph(run._subject(config.loss), honest(replays))
        reports.append([complete(run.work(epoch, np.arange(44, 52))) for epoch in range(2)])
    assert reports[0] == reports[1]
    assert len(replays) >= 1 + 5
