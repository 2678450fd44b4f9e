"""Where the benchmark of overheads says that the time of a trial goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import overhead
from benchmarks.overhead import CHECKPOINTS, REPORTS, SCORING, SET_UP, STEPS, Watched
from hpo.control import Control
from hpo.search.worker.trainer import Task
from hpo.study.config import TrainConfig
from hpo.study.record import Provenance
from hpo.training.loop.checkpoint import Checkpoint
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(overhead, "time", made)
    return made


class SleepingTrainer:
    """Two epochs of two steps of 2 s and one scoring unit of 3 s, after 5 s of set-up."""

    provenance = Provenance(code_version="0")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, task: Task) -> Iterator[int]:
        self.clock.sleep(5)
        for epoch in range(2):
            for step in range(2):
                self.clock.sleep(2)
                task.control.progress((2 * epoch + step + 1) / 4)
            self.clock.sleep(3)
            task.control.progress((epoch + 1) / 2)
            yield epoch


def test_each_part_of_a_trial_is_charged_for_its_own_time(clock: Clock) -> None:
    watched = Watched(SleepingTrainer(clock), lambda: None)  # type: ignore[arg-type]
    for _ in watched(Task(TrainConfig(), 0, 0, control=Control(progress=lambda _: clock.sleep(0.5)))):
        clock.sleep(4)
    assert (watched.epochs, watched.provenance) == (2, Provenance(code_version="0"))
    assert watched.seconds == {SET_UP: 5, STEPS: 4 * 2, SCORING: 2 * 3, REPORTS: 2 * 4 + 6 * 0.5}


def test_checkpoints_are_taken_out_of_what_they_interrupt(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "save", lambda *_: clock.sleep(10))

    class Saving(SleepingTrainer):
        def __call__(self, task: Task) -> Iterator[int]:
            for epoch in super().__call__(task):
                Checkpoint.save(None, {}, [])  # type: ignore[arg-type]
                yield epoch

    watched = Watched(Saving(clock), lambda: None)  # type: ignore[arg-type]
    list(watched(Task(TrainConfig(), 0, 0)))
    assert watched.seconds == {SET_UP: 5, STEPS: 8, SCORING: 6, CHECKPOINTS: 20, REPORTS: 0}
