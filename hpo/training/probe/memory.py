"""Predict a worker's memory on a CPU, or run a few steps of a trial on a GPU to measure throughput and memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.control import Control
from hpo.data.development import Development
from hpo.data.folds import Fold
from hpo.study.catalogue import Dataset
from hpo.study.co_training import other_datasets
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import largest_bytes, tensor_bytes
from hpo.training.loop.fold import Run
from hpo.training.loop.fold_parallel import step_bytes
from hpo.training.loop.scoring import scoring_rows
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_machine, peak_memory_bytes
from hpo.training.machine.failure import TrainingFailure
from hpo.training.probe.peak import Peak
from hpo.training.probe.samples import first_samples, plain

_ENDLESS = 10_000
_CPU = "cpu"

_SCORED_AS_TRAINED = 8
"""Samples scored in the memory of one training sample: no activations are stored for gradients."""

_PROCESS_BYTES = 900e6
"""Main memory of a worker besides data, folds and a step: program, libraries, fragmentation.

Chosen so that peaks measured by benchmarks/memory.py, of breast and of adrenal3d at 14 voxels, lie up to a quarter
below the prediction.
"""


class _Enough(Exception):  # noqa: N818 - the way out of a trial, not an error
    """The measurement is complete."""


def train_on(
    config: TrainConfig,
    development: Development,
    folds: tuple[Fold, ...],
    device: str,
    more: Callable[[float], bool],
) -> None:
    """Train a configuration until `more` returns False, given after each step the number of samples trained on.

    Raises as `train_trial`, but restarts if training diverges.
    """
    probe = plain(config)
    all_samples = _ENDLESS * sum(len(fold.training) for fold in folds)
    before = latest = 0.0

    def progress(share: float) -> None:
        nonlocal latest
        latest = share * all_samples
        if not more(before + latest):
            raise _Enough

    for seed in range(_ENDLESS):
        latest = 0.0
        try:
            for _ in train_trial(probe, development, folds, _ENDLESS, seed, device, Control(progress=progress)):
                pass
        except _Enough:
            return
        except TrainingFailure as failure:
            if failure.reason != "diverged":
                raise
        before += latest


def peak_of(config: TrainConfig, development: Development, folds: tuple[Fold, ...], device: str) -> Peak:
    """Measure the peak memory of a trial of this configuration on a GPU, with all folds' networks and optimizer states.

    Trains an epoch of a few samples of each fold. Raises as `train_trial`.
    """
    dataset = development.dataset
    scored = scoring_rows(dataset.dimensions, dataset.edge(config.input_size))
    # Large volumes are scored one by one, and the AUC at the end of the epoch needs one of each class.
    fewer = _fewer(development, folds, 2 * config.batch_size, max(2, scored))
    _train_an_epoch(plain(config), development, fewer, device)
    main, placed = _bytes_of_others(config, development.dataset)
    return Peak(peak_memory_bytes(_CPU) + main, peak_memory_bytes(device) + placed)


def predicted_peak(config: TrainConfig, development: Development, folds: int) -> int:
    """Predict the peak bytes of a worker on a CPU that trains a trial of `folds` folds, one at a time."""
    few = first_samples(development, 1)
    machine = choose_machine(torch.device(_CPU), development.dataset.dimensions, config.precision)
    resident = make_device_dataset(few, config.input_size, machine.device)
    run = Run(plain(config), few, resident, np.arange(1), 1, 0, machine)
    dataset = development.dataset
    edge = dataset.edge(config.input_size)
    scored = scoring_rows(dataset.dimensions, edge) // _SCORED_AS_TRAINED
    step = step_bytes(config.model_copy(update={"batch_size": max(config.batch_size, scored)}), dataset)
    if config.sam > 0:
        step += tensor_bytes(run.state_dict()["network"])
    # Data once as they are read and once as they are trained on, which is no less while they are shrunk.
    data = (1 + max(1.0, (edge / dataset.size) ** dataset.dimensions)) * development.images.nbytes
    data += sum(_bytes_of_others(config, dataset))
    return int(_PROCESS_BYTES + data + folds * largest_bytes(run.state_dict(), config) + step)


def _bytes_of_others(config: TrainConfig, target: Dataset) -> tuple[int, int]:
    """Return the bytes of the images of the other datasets as they are read and as they are trained on.

    Steps on them take what steps on the target do: batches and images have the same size.
    """
    others = other_datasets(config.co_training, target)
    read = sum(one.development_rows * math.prod(one.image_shape) for one in others)
    placed = (one.channels * one.edge(config.input_size) ** one.dimensions for one in others)
    return read, sum(one.development_rows * pixels for one, pixels in zip(others, placed, strict=True))


def _train_an_epoch(config: TrainConfig, development: Development, folds: tuple[Fold, ...], device: str) -> None:
    reports = train_trial(config, development, folds, epochs=1, seed=0, device=device)
    next(reports, None)
    reports.close()  # type: ignore[attr-defined]


def _fewer(development: Development, folds: tuple[Fold, ...], training: int, validation: int) -> tuple[Fold, ...]:
    return tuple(
        replace(
            fold,
            training=_few(development, fold.training, training),
            validation=_few(development, fold.validation, validation),
        )
        for fold in folds
    )


def _few(development: Development, samples: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Pick at most `count` of the samples, with both classes of the label that has most minority samples."""
    labels = development.labels[samples]
    rarer = np.minimum(labels.sum(axis=0, dtype=np.int64), (1 - labels.astype(np.int64)).sum(axis=0))
    label = labels[:, int(rarer.argmax())]
    positives, negatives = samples[label == 1], samples[label == 0]
    half = min(len(positives), max(1, count // 2))
    return np.sort(np.concatenate([positives[:half], negatives[: count - half]]))
