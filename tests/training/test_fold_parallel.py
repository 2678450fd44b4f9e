"""Folds side by side: how many, in which threads, and equal to one after the other."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.loop import fold_parallel
from hpo.training.loop import trial as trial_module
from hpo.training.loop.fold import Work
from hpo.training.loop.fold_parallel import InThreads, choose_fold_executor, cut, own_stream
from hpo.training.loop.trial import train_trial
from hpo.training.machine import limits
from hpo.training.machine.device import choose_machine
from hpo.training.machine.failure import TrainingFailure
from hpo.training.report import EpochReport, FoldReport
from tests.arrays import made_development
from tests.mention import numbers_in

CPU = torch.device("cpu")
Precision = Literal["fp32", "bf16"]
SETTINGS = {"augmentation": "full", "weight_average": "swa", "swa_start": 0.0, "resplit": "holdout"}


def test_folds_are_cut_into_groups_in_their_order() -> None:
    assert [list(group) for group in cut(5, 2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("cores", "size"), [(1, 1), (2, 2), (4, 4), (8, 5)])
def test_as_many_folds_go_together_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, two_threads: None, dimensions: Literal[2, 3], cores: int, size: int
) -> None:
    monkeypatch.setattr(limits, "_cores", cores)
    monkeypatch.setattr(fold_parallel, "memory_share", lambda _: 1e15)
    dataset = find_dataset("breast" if dimensions == 2 else "adrenal3d")
    assert choose_fold_executor(TrainConfig(), dataset, 5, choose_machine(CPU, dimensions, "fp32")).size == size


def test_memory_bounds_how_many_are_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    config, dataset = TrainConfig(batch_size=128), find_dataset("breast")
    machine = choose_machine(CPU, 2, "fp32")
    step = fold_parallel.step_bytes(config, dataset)
    assert 4e8 < step < 9e8
    monkeypatch.setattr(limits, "_cores", 4)
    for memory, size in ((9.1, 3), (6.1, 2), (5.9, 1), (0.1, 1)):
        monkeypatch.setattr(fold_parallel, "memory_share", lambda _, memory=memory: memory * step)
        assert choose_fold_executor(config, dataset, 5, machine).size == size


@pytest.mark.parametrize(("folds", "size", "numbers"), [(5, 2, [5, 2, 1]), (5, 1, [5, 1]), (1, 1, [1, 1])])
def test_a_way_is_described_with_its_folds_how_many_are_side_by_side_and_threads(
    folds: int, size: int, numbers: list[int]
) -> None:
    assert numbers_in(InThreads(folds, size).describe()) == numbers


def report_of(number: int) -> FoldReport:
    return FoldReport(float(number), 0.0, 0.0, 0.0)


def work(number: int, units: int, seen: list[Any], error: Exception | None = None) -> Work:
    for unit in range(units):
        seen.append((number, unit, threading.current_thread().name, torch.get_num_threads()))
        yield
    if error is not None:
        raise error
    return report_of(number)


def test_each_round_does_one_unit_of_each_fold_in_threads_that_compute_with_one(two_threads: None) -> None:
    way, seen = InThreads(9, 2), list[Any]()
    ended = []
    for reports in way.rounds({4: work(4, 1, seen), 1: work(1, 3, seen)}):
        ended.append((len(seen), reports))
        assert torch.get_num_threads() == 2
    assert ended == [(2, {}), (3, {4: report_of(4)}), (4, {}), (4, {1: report_of(1)})]
    assert all(name != threading.current_thread().name and threads == 1 for _, _, name, threads in seen)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == 2


def test_two_folds_compute_at_the_same_time(two_threads: None) -> None:
    meeting = threading.Barrier(2, timeout=60)

    def meet() -> Work:
        meeting.wait()
        yield
        return report_of(0)

    assert list(InThreads(2, 2).rounds({0: meet(), 1: meet()}))[-1].keys() == {0, 1}


def test_one_at_a_time_is_trained_by_the_caller_with_one_thread(two_threads: None) -> None:
    way, seen = InThreads(3, 1), list[Any]()
    for _ in way.rounds({2: work(2, 1, seen)}):
        assert torch.get_num_threads() == 2
    assert seen == [(2, 0, threading.current_thread().name, 1)]
    with way.turn(0):
        assert torch.get_num_threads() == 1


def test_the_first_folds_error_comes_out_when_the_others_have_done_their_unit(two_threads: None) -> None:
    way, seen = InThreads(2, 2), list[Any]()
    works = {0: work(0, 0, seen, TrainingFailure("diverged", "of 0")), 1: work(1, 1, seen)}
    with pytest.raises(TrainingFailure, match="of 0"):
        next(way.rounds(works))
    assert len(seen) == 1
    assert torch.get_num_threads() == 2


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("cores", "threads"), [(2, 1), (1, 2), (5, 2)])
def test_reports_are_bit_equal_whatever_the_cores_and_the_callers_threads(
    cores: int, threads: int, precision: Precision
) -> None:
    assert train(cores, threads, precision, width=16, **SETTINGS) == train_alone(precision)


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
def test_whole_networks_are_bit_equal_whatever_the_cores_and_the_callers_threads(dimensions: Literal[2, 3]) -> None:
    """On two folds of one step each, after which scores tell of the gradients: most of the time is for the weights."""
    (beside,), (alone,) = (
        train(cores, cores, "bf16", dimensions, (14, 4), epochs=1, count=2, batch_size=9) for cores in (2, 1)
    )
    assert beside == alone
    assert beside.scores == alone.scores


@functools.cache
def train_alone(precision: Precision) -> list[EpochReport]:
    return train(1, 1, precision, width=16, **SETTINGS)


def train(
    cores: int,
    threads: int,
    precision: Precision,
    dimensions: Literal[2, 3] = 2,
    rows: tuple[int, int] = (40, 12),
    *,
    epochs: int = 2,
    count: int = 3,
    width: int | None = None,
    **settings: Any,
) -> list[EpochReport]:
    """The reports of a trial of so many folds in a process of so many cores, whose PyTorch has so many threads."""
    development = made_development(dimensions, rows=rows)
    folds = scoring_folds(development, Scoring(rows="kfold", folds=count), 0)
    config = TrainConfig(**({"batch_size": 8, "input_size": 8, "precision": precision} | settings))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "_cores", cores)
            if width is not None:
                patch.setattr("hpo.training.model.resnet._WIDTHS", (width,) * 4)
            reports = train_trial(config, development, folds, epochs, 0, "cpu")
            return [replace(report, seconds=0.0) for report in reports]
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_way_is_reported_once_in_a_process(
    development: Development, log: list[str], monkeypatch: pytest.MonkeyPatch, thin: None
) -> None:
    # Whatever earlier tests have left there: with two cores two folds train side by side.
    monkeypatch.setattr(limits, "_cores", 1)
    trial_module._log_once.cache_clear()
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(batch_size=26, input_size=4, precision="fp32")
    for seed in range(2):
        list(train_trial(config, development, folds, 1, seed, "cpu"))
    assert [numbers_in(line) for line in log] == [[2, 1]]


def test_a_cpu_has_no_streams() -> None:
    with own_stream(CPU):
        assert np.isfinite(torch.ones(3).sum().item())
