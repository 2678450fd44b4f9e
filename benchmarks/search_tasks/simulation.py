"""Simulate a search: workers that train in parallel, in the time that steps take, until a budget is spent."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from benchmarks.search_tasks.networks import Config
from benchmarks.search_tasks.tasks import FoldRun, Task
from hpo.study.stages import Stage

WORKERS = 8
_OVERHEAD = 16.0
"""Time of an epoch beside its steps, in steps."""


@dataclass(frozen=True)
class Job:
    """What a free worker trains next: a trial, new or known, up to a rung.

    Attributes:
        deal: which folds it has: 0 in a search, others where a configuration is trained again.
    """

    trial: int
    config: Config
    rung: int
    deal: int = 0


class Method(Protocol):
    """A method of search.

    Attributes:
        rungs: where its trials report, in the order of training; the last one is a whole trial.
    """

    rungs: Sequence[Stage]

    def ask(self, spent: float) -> Job | None:
        """Return what a free worker trains next; None if it has to wait for others, or nothing is left.

        Args:
            spent: share of the budget.
        """

    def tell(self, job: Job, fold_aucs: tuple[float, ...]) -> bool:
        """Take the AUCs of a rung's folds at its end; return whether the worker goes on with the trial."""

    def choose(self, whole: Sequence[int]) -> int:
        """Return which of the trials that have been trained whole is the best one; they come by AUC, the best first."""


@dataclass
class Trial:
    """A trial: its training so far, and the mean AUC at each rung that it has reached."""

    config: Config
    runs: list[FoldRun]
    aucs: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        incumbents: epochs over single folds that were spent, and the chosen whole trial then, at each change.
        trials: all configurations that were tried, in order.
        whole: the numbers of the trials that were trained whole, the best by AUC first.
        chosen: the number of the one that the method chose; None without a whole trial.
        spent: epochs over single folds.
        seconds: simulated time, in steps.
    """

    incumbents: list[tuple[int, int]]
    trials: list[Config]
    whole: list[int]
    chosen: int | None
    spent: int
    seconds: float


def simulate(task: Task, method: Method, budget: int, seed: int) -> Found:
    """Search until `budget` epochs over single folds are spent; trials in progress are trained to their next rung.

    Trials that are not pruned when the budget ends are trained on: what is wanted is a whole trial.
    """
    random = np.random.default_rng([seed, 1])
    trials: dict[int, Trial] = {}
    queue: list[tuple[float, int, Job, int]] = []
    order = itertools.count()
    incumbents: list[tuple[int, int]] = []
    spent, now = 0, 0.0

    def begin(job: Job) -> None:
        if job.trial not in trials:
            folds = range(method.rungs[-1].folds)
            trials[job.trial] = Trial(job.config, [task.run(job.config, fold, job.trial, job.deal) for fold in folds])
        trial, stage, epochs = trials[job.trial], method.rungs[job.rung], 0
        for run in trial.runs[: stage.folds]:
            while len(run.aucs) < stage.epochs:
                run.train_epoch()
                epochs += 1
        steps = len(task.labels) / job.config["batch_size"]
        seconds = epochs * (_OVERHEAD + steps) * random.lognormal(0, 0.1)
        heapq.heappush(queue, (now + seconds, next(order), job, epochs))

    waiting = WORKERS

    def occupy() -> None:
        nonlocal waiting
        while waiting and spent < budget and (job := method.ask(spent / budget)) is not None:
            begin(job)
            waiting -= 1

    occupy()
    last = len(method.rungs) - 1
    while queue:
        now, _, job, epochs = heapq.heappop(queue)
        spent += epochs
        trial, stage = trials[job.trial], method.rungs[job.rung]
        aucs = tuple(run.aucs[stage.epochs - 1] for run in trial.runs[: stage.folds])
        trial.aucs[job.rung] = sum(aucs) / len(aucs)
        goes_on = method.tell(job, aucs)
        if job.rung == last:
            trial.runs = []
            whole = _whole(trials, last)
            chosen = method.choose(whole)
            if not incumbents or incumbents[-1][1] != chosen:
                incumbents.append((spent, chosen))
        elif goes_on:
            begin(replace(job, rung=job.rung + 1))
            continue
        waiting += 1
        occupy()
    configs = [trials[number].config for number in sorted(trials)]
    # The trials in progress at the end have been trained on since the last choice.
    whole = _whole(trials, last)
    return Found(incumbents, configs, whole, method.choose(whole) if whole else None, spent, now)


def _whole(trials: dict[int, Trial], last: int) -> list[int]:
    """Return the numbers of the trials that have been trained whole, the best first."""
    return sorted((number for number in trials if last in trials[number].aucs), key=lambda n: -trials[n].aucs[last])
