"""Run a few steps of a trial by `train_trial`, to measure a worker's throughput and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo.control import Control
from hpo.data.development import Development
from hpo.data.folds import Fold
from hpo.study.config import TrainConfig
from hpo.training.loop.fold import SCORING_BATCH
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_device, peak_memory_bytes, start_of_trial
from hpo.training.machine.failure import TrainingFailure
from hpo.training.probe.peak import Peak

_ENDLESS = 10_000
_CPU = "cpu"

_SMALL_BATCHES = {2: (8, 24), 3: (2, 4)}
"""Sizes of the two small batches from which the memory of a large one, slow on a CPU, is extrapolated."""

_STEP_ON_A_CPU = {2: 32, 3: 4}
"""Size of a batch that takes a CPU some seconds at most."""

_SCORED_AS_TRAINED = 8
"""Samples scored in the memory of one training sample: no activations are stored for gradients."""


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

    On a CPU batches have at most 32 images or 4 volumes, so that no step takes long. Raises as `train_trial`, but
    restarts if training diverges.
    """
    batch = config.batch_size
    if choose_device(device).type == _CPU:
        batch = min(batch, _STEP_ON_A_CPU[development.dataset.dimensions])
    plain = _plain(config, batch)
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
            for _ in train_trial(plain, development, folds, _ENDLESS, seed, device, Control(progress=progress)):
                pass
        except _Enough:
            return
        except TrainingFailure as failure:
            if failure.reason != "diverged":
                raise
        before += latest


def peak_of(config: TrainConfig, development: Development, folds: tuple[Fold, ...], device: str) -> Peak:
    """Measure the peak memory of a trial of this configuration, with all folds' networks and optimizer states.

    Trains an epoch of a few samples of each fold. On a CPU, measured at two small batch sizes and extrapolated linearly
    to the full batch, or to the samples scored at a time if they take more. Raises as `train_trial`.
    """
    chosen, dimensions = choose_device(device), development.dataset.dimensions
    if chosen.type != _CPU:
        fewer = _fewer(development, folds, 2 * config.batch_size, SCORING_BATCH[dimensions])
        _train_an_epoch(_plain(config, config.batch_size), development, fewer, device)
        reserved = peak_memory_bytes(chosen)
        return Peak(peak_memory_bytes(_CPU), reserved)
    most = max(config.batch_size, SCORING_BATCH[dimensions] // _SCORED_AS_TRAINED)
    held = []
    for batch in _SMALL_BATCHES[dimensions]:
        _train_an_epoch(_plain(config, batch), development, _fewer(development, folds, batch, batch), device)
        held.append(peak_memory_bytes(chosen))
    start_of_trial(chosen)
    small, large = _SMALL_BATCHES[dimensions]
    each = max(0.0, (held[1] - held[0]) / (large - small))
    return Peak(int(max(held[1], held[0] + each * (most - small))))


def _plain(config: TrainConfig, batch: int) -> TrainConfig:
    return config.model_copy(update={"batch_size": batch, "resplit": "none", "batching": "random"})


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
