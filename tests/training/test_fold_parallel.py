"""Folds side by side: how many, in which threads, and equal to one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

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
from hpo.training.loop.fold_parallel import InThreads, best_size, choose_fold_executor, cut, own_stream
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_machine
from hpo.training.machine.failure import TrainingFailure
from hpo.training.report import EpochReport, FoldReport
from tests.mention import numbers_in

CPU = torch.device("cpu")
ONE_BY_ONE = [range(number, number + 1) for number in range(5)]
SETTINGS = {"augmentation": "full", "weight_average": "swa", "swa_start": 0.0, "resplit": "holdout"}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("folds", "threads", "size"),
    [(1, 8, 1), (5, 1, 1), (5, 2, 2), (2, 2, 2), (5, 4, 4), (5, 5, 5), (5, 8, 4), (5, 16, 4), (3, 7, 1)],
)
def test_as_many_folds_are_side_by_side_as_take_the_least_time_if_threads_scale(
    folds: int, threads: int, size: int
) -> None:
    """5 folds in 8 threads: 4 at a time take 1/2 and the last 1/8; 5 at a time have one thread each and take 1."""
    assert best_size(folds, threads, most=folds) == size


def test_folds_are_cut_into_groups_in_their_order() -> None:
    assert [list(group) for group in cut(5, 2)] == [[0, 1], [2, 3], [4]]


def test_memory_bounds_how_many_are_side_by_side(monkeypatch: pytest.MonkeyPatch, two_threads: None) -> None:
    config, dataset = TrainConfig(batch_size=128), find_dataset("breast")
    machine = choose_machine(CPU, 2, "fp32")
    step = fold_parallel.step_bytes(config, dataset)
    assert 4e8 < step < 9e8
    monkeypatch.setattr(fold_parallel, "memory_share", lambda _: 6.1 * step)
    assert choose_fold_executor(config, dataset, 5, machine).groups == [range(2), range(2, 4), range(4, 5)]
    monkeypatch.setattr(fold_parallel, "memory_share", lambda _: 5.9 * step)
    assert choose_fold_executor(config, dataset, 5, machine).groups == ONE_BY_ONE


@pytest.mark.parametrize(("folds", "size", "numbers"), [(5, 2, [5, 2, 1]), (5, 1, [5, 2]), (1, 1, [1, 2])])
def test_a_way_is_described_with_its_folds_how_many_are_side_by_side_and_threads(
    folds: int, size: int, numbers: list[int]
) -> None:
    assert numbers_in(InThreads(cut(folds, size), 2).describe()) == numbers


def test_volumes_are_trained_one_by_one_on_a_cpu(monkeypatch: pytest.MonkeyPatch, two_threads: None) -> None:
    monkeypatch.setattr(fold_parallel, "memory_share", lambda _: 1e15)
    way = choose_fold_executor(TrainConfig(), find_dataset("adrenal3d"), 5, choose_machine(CPU, 3, "fp32"))
    assert way.groups == ONE_BY_ONE


def report_of(number: int) -> FoldReport:
    return FoldReport(float(number), 0.0, 0.0, 0.0)


def work(number: int, units: int, seen: list[Any], error: Exception | None = None) -> Work:
    for unit in range(units):
        seen.append((number, unit, threading.current_thread().name, torch.get_num_threads()))
        yield
    if error is not None:
        raise error
    return report_of(number)


def test_each_round_does_one_unit_of_each_fold_in_a_thread_with_its_part_of_the_threads(two_threads: None) -> None:
    way, seen = InThreads(cut(2, 2), 2), list[Any]()
    ended = []
    for reports in way.rounds(range(2), {0: work(0, 1, seen), 1: work(1, 3, seen)}):
        ended.append((len(seen), reports))
    assert ended == [(2, {}), (3, {0: report_of(0)}), (4, {}), (4, {1: report_of(1)})]
    assert len({name for _, _, name, _ in seen}) == 2
    assert all(threads == 1 for *_, threads in seen)
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == 2


def test_a_fold_by_itself_is_trained_by_the_caller_with_all_threads(two_threads: None) -> None:
    way, seen = InThreads(cut(3, 2), 2), list[Any]()
    assert list(way.rounds(range(2, 3), {2: work(2, 1, seen)})) == [{}, {2: report_of(2)}]
    assert seen == [(2, 0, threading.current_thread().name, 2)]


def test_what_is_left_of_a_group_keeps_its_part_of_the_threads(two_threads: None) -> None:
    """Else a trial resumed where one of two folds was done would compute the other with more threads than before."""
    way, seen = InThreads(cut(2, 2), 2), list[Any]()
    list(way.rounds(range(2), {1: work(1, 1, seen)}))
    assert [threads for *_, threads in seen] == [1]


def test_the_first_folds_error_comes_out_when_the_others_have_done_their_unit(two_threads: None) -> None:
    way, seen = InThreads(cut(2, 2), 2), list[Any]()
    works = {0: work(0, 0, seen, TrainingFailure("diverged", "of 0")), 1: work(1, 1, seen)}
    with pytest.raises(TrainingFailure, match="of 0"):
        next(way.rounds(range(2), works))
    assert len(seen) == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_side_by_side_is_bit_equal_to_one_after_the_other_with_as_many_threads(
    development: Development, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    together_, apart = (train(development, monkeypatch, size, threads, precision) for size, threads in ((2, 2), (1, 1)))
    assert together_ == apart


@pytest.mark.slow
def test_side_by_side_is_equal_to_one_after_the_other_within_tolerance(
    development: Development, monkeypatch: pytest.MonkeyPatch
) -> None:
    side_by_side, apart = (train(development, monkeypatch, size, 2, "fp32") for size in (2, 1))
    for one, other in zip(side_by_side, apart, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=1e-3)
        assert one.fold_aucs == pytest.approx(other.fold_aucs, abs=0.03)


def train(
    development: Development, monkeypatch: pytest.MonkeyPatch, size: int, threads: int, precision: str
) -> list[EpochReport]:
    before = torch.get_num_threads()
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))
    monkeypatch.setattr("hpo.training.loop.trial.choose_fold_executor", lambda *_: InThreads(cut(2, size), threads))
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(**({"batch_size": 8, "input_size": 8, "precision": precision} | SETTINGS))
    torch.set_num_threads(threads)
    try:
        return [replace(report, seconds=0.0) for report in train_trial(config, development, folds, 2, 0, "cpu")]
    finally:
        torch.set_num_threads(before)


def test_the_way_is_reported_once_in_a_process(
    development: Development, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    trial_module._log_once.cache_clear()
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(batch_size=26, input_size=4, precision="fp32")
    for seed in range(2):
        list(train_trial(config, development, folds, 1, seed, "cpu"))
    assert [numbers_in(line) for line in log] == [[2, 1]]


def test_a_cpu_has_no_streams() -> None:
    with own_stream(CPU):
        assert np.isfinite(torch.ones(3).sum().item())
