"""`train_trial`: the public door; a configuration trained on every fold, reported after each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hpo.data.development import Development
from hpo.data.rows import Fold
from hpo.study.config import TrainConfig
from hpo.training.device import choose_device, choose_machine, start_of_trial
from hpo.training.failure import TrainingFailure, memory_failures
from hpo.training.resident import make_resident
from hpo.training.run import FoldReport, Run
from hpo.training.seeds import derive_seed

__all__ = ["EpochReport", "TrainingFailure", "train_trial"]


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a trial, over its folds.

    epoch: from 1. auc: mean over folds of the scoring AUC (over labels, if several). standard_error: of that mean, the
    folds taken as independent, which folds of one repeat are. fold_aucs: in the order of the folds. training_auc,
    training_loss: of this epoch's batches, as they were scored in training, mean over folds. seconds: of this epoch.
    """

    epoch: int
    auc: float
    standard_error: float
    fold_aucs: tuple[float, ...]
    training_auc: float
    training_loss: float
    seconds: float


def train_trial(
    config: TrainConfig,
    development: Development,
    folds: tuple[Fold, ...],
    epochs: int,
    seed: int,
    device: str = "auto",
    beat: Callable[[float], None] = lambda _share: None,
) -> Iterator[EpochReport]:
    """Train a configuration on all folds in lockstep, one report per epoch; stop by leaving the iterator.

    seed: of weights, resplits, batches and augmentation; equal arguments on a CPU with an equal number of threads give
    bit-equal reports. device: auto, cpu, cuda or cuda:N. beat: called with the share of all steps done, 0 to 1, after
    every step and scoring batch; what it raises ends the trial and comes out here.
    Raises TrainingFailure if the configuration diverges or asks for more memory than there is, DeviceError for a device
    that is not there, DataError if a resplit leaves rows without a class.
    """
    runs: list[Run] = []

    def progress() -> None:
        beat(sum(run.steps_done for run in runs) / sum(run.total_steps for run in runs))

    with memory_failures():
        start_of_trial(choose_device(device))
        machine = choose_machine(choose_device(device), development.dataset.dimensions, config.precision)
        resident = make_resident(development, config.input_size, machine.device)
        for number, fold in enumerate(folds):
            seed_of_fold = derive_seed(seed, "fold", number)
            runs.append(Run(config, development, resident, fold.fit, epochs, seed_of_fold, machine, progress))
    for epoch in range(epochs):
        start = time.perf_counter()
        with memory_failures():
            reports = [train_epoch(run, epoch, fold) for run, fold in zip(runs, folds, strict=True)]
        yield summarise(epoch, reports, time.perf_counter() - start)


def train_epoch(run: Run, epoch: int, fold: Fold) -> FoldReport:
    """One epoch of one fold."""
    for batch in run.batches(epoch):
        run.step(batch)
    return run.score(epoch, fold.scoring)


def summarise(epoch: int, reports: list[FoldReport], seconds: float) -> EpochReport:
    """The folds' reports of an epoch, counted from 0, as one."""
    aucs = tuple(report.auc for report in reports)
    return EpochReport(
        epoch=epoch + 1,
        auc=float(np.mean(aucs)),
        standard_error=math.sqrt(sum(report.standard_error**2 for report in reports)) / len(reports),
        fold_aucs=aucs,
        training_auc=float(np.mean([report.training_auc for report in reports])),
        training_loss=float(np.mean([report.training_loss for report in reports])),
        seconds=seconds,
    )
