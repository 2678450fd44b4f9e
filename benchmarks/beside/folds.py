"""Folds of a trial one after the other against side by side, and trials packed on one device; trials per hour."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from benchmarks.beside.job import Job, Recipe
from benchmarks.beside.loops import Measured, hpo_epochs
from benchmarks.beside.process import Side
from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig
from hpo.training.loop import fold_parallel
from hpo.training.machine.device import Machine
from hpo.training.machine.limits import usable_cores

WAYS = ("one_by_one", "side_by_side")


def compare_ways(job: Job, recipe: Recipe, seeds: int, epochs_of_a_trial: int) -> dict[str, Any]:
    """Epochs of a trial with several folds in both ways, in turns; ratios of one by one through side by side.

    The first epoch of each seed warms up. epochs_of_a_trial: for trials per hour, none of them pruned.
    """
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    logs: dict[str, tuple[str, ...]] = {}
    gaps = []
    for seed in range(seeds):
        with ExitStack() as stack:
            sides = {way: stack.enter_context(Side(partial(trial, way, job, seed, recipe), True)) for way in WAYS}
            for epoch in range(job.epochs):
                measured = {way: side.epoch() for way, side in sides.items()}
                for way, found in measured.items():
                    logs[way] = found.log
                    if epoch:
                        seconds[way].append(found.seconds)
                said = ", ".join(f"{way} {found.seconds:.2f} s" for way, found in measured.items())
                print(f"seed {seed} epoch {epoch + 1}: {said}", flush=True)
            gaps.append(measured[WAYS[1]].auc - measured[WAYS[0]].auc)
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    return {
        "folds": len(job.folds),
        "log": logs,
        "trials_per_hour": {
            way: 3600 / (epochs_of_a_trial * statistics.median(found)) for way, found in seconds.items()
        },
        "epochs_of_a_trial": epochs_of_a_trial,
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "pairs": len(ratios),
        "auc_differences": gaps,
    }


def pack(job: Job, recipe: Recipe, counts: list[int], epochs_of_a_trial: int) -> dict[str, Any]:
    """Trials per hour with so many processes on the device at the same time, each with a trial of its own.

    The first epoch warms up; the time is from the start of the others together to the end of the last of them.
    """
    found: dict[str, Any] = {"folds": len(job.folds), "epochs_of_a_trial": epochs_of_a_trial, "trials_per_hour": {}}
    for count in counts:
        # On a CPU each process gets its part of the cores, as `hpo launch` does.
        threads = None if job.device != "cpu" else max(1, usable_cores() // count)
        with ExitStack() as stack:
            epochs = [partial(hpo_epochs, job, seed, recipe) for seed in range(count)]
            sides = [stack.enter_context(Side(each, True, threads)) for each in epochs]
            seconds = [_together(sides) for _ in range(job.epochs)][1:]
        found["trials_per_hour"][count] = count * 3600 / (epochs_of_a_trial * statistics.median(seconds))
        print(f"{count} at once: {found['trials_per_hour'][count]:.2f} trials per hour", flush=True)
    return found


def trial(way: str, job: Job, seed: int, recipe: Recipe) -> Iterator[Measured]:
    """hpo's epochs, with the way of its folds forced where it is to be one by one."""
    if way == WAYS[0]:
        with patch("hpo.training.loop.trial.choose_fold_executor", _one_by_one):
            yield from hpo_epochs(job, seed, recipe)
    else:
        yield from hpo_epochs(job, seed, recipe)


def _one_by_one(_config: TrainConfig, _dataset: Dataset, folds: int, machine: Machine) -> fold_parallel.FoldExecutor:
    if machine.device.type == "cuda":
        return fold_parallel.OnStreams(folds, 1, machine.device)
    return fold_parallel.InThreads(folds, 1)


def _together(sides: list[Side]) -> float:
    start = time.perf_counter()
    for side in sides:
        side.begin()
    for side in sides:
        side.result()
    return time.perf_counter() - start
