"""What each method of training costs: images per second and memory beside the default's, steps taken in turn."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.beside.job import Job
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.cuda_graph import FIRST_STEPS
from hpo.training.loop.fold import Run
from hpo.training.machine.device import (
    choose_device,
    choose_machine,
    peak_memory_bytes,
    set_up_process,
    start_of_trial,
)

DEFAULT = "default"
METHODS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "running class means": {"class_means": "running"},
    "tanh scores": {"score_scale": "tanh"},
    "standardised scores": {"score_scale": "standardised"},
    "joint": {"loss": "joint"},
    "compositional": {"loss": "compositional"},
    "pairwise": {"loss": "pairwise"},
    "pauc, CVaR": {"loss": "pauc"},
    "pauc, DRO": {"loss": "pauc", "pauc_form": "dro"},
    "cross-entropy": {"loss": "cross_entropy"},
    "label smoothing": {"loss": "cross_entropy", "label_smoothing": 0.1},
    "focal": {"loss": "focal"},
    "adam": {"optimizer": "adam", "learning_rate": 1e-3},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "lion": {"optimizer": "lion", "learning_rate": 1e-4, "weight_decay": 0.1},
    "sam": {"sam": 0.05},
    "ghost batches of 8": {"ghost_batch": 8},
    "ghost batches of 16": {"ghost_batch": 16},
    "warm-up, cyclic": {"warmup": 0.1, "schedule": "cyclic"},
    "mean over cycles": {"schedule": "cyclic", "weight_average": "cycles"},
}
"""Changes to the default recipe of AUCM; schedules and means over epochs cost nothing in a step."""


def compare_methods(job: Job, names: Iterable[str], pairs: int) -> dict[str, dict[str, float]]:
    """Return for each method its rate relative to the default's and its memory, each measured in a process of its own.

    `ratio` is the median over `pairs` of steps, one of each side, which take turns; `low` and `high` are the quartiles.
    Megabytes are those of a run and its steps, without program and data; the second pass of a network needs no more
    activations at a time than the first.
    """
    context = multiprocessing.get_context("spawn")
    found = {}
    for name in names:
        with context.Pool(1) as pool:
            found[name] = pool.apply(_measure, (job, METHODS[name], pairs))
    return found


def _measure(job: Job, settings: dict[str, Any], pairs: int) -> dict[str, float]:
    set_up_process()
    device = choose_device(job.device)
    start_of_trial(device)
    before = peak_memory_bytes(device)
    method = _steps(job, settings)
    for _ in range(FIRST_STEPS + 1):
        next(method)
    megabytes = (peak_memory_bytes(device) - before) / 2**20
    default = _steps(job, {})
    for _ in range(FIRST_STEPS + 1):
        next(default)
    seconds = np.array([[next(default), next(method)] for _ in range(pairs)])
    low, ratio, high = np.quantile(seconds[:, 0] / seconds[:, 1], [0.25, 0.5, 0.75])
    return {
        "ratio": float(ratio),
        "low": float(low),
        "high": float(high),
        "images_per_second": job.batch / float(np.median(seconds[:, 1])),
        "megabytes": megabytes,
    }


def _steps(job: Job, settings: dict[str, Any]) -> Iterator[float]:
    """Take steps without end; yield the seconds of each."""
    config = job.config("aucm").model_copy(update=settings)
    device = choose_device(job.device)
    machine = choose_machine(device, job.development.dataset.dimensions, job.precision)
    resident = make_device_dataset(job.development, config.input_size, device)
    run = Run(config, job.development, resident, job.fold.training, 1000, 0, machine)
    for epoch in run.remaining_epochs():
        for batch in run.batches(epoch):
            yield _seconds(run, batch, device)
        run.finish(epoch)


def _seconds(run: Run, batch: Tensor, device: torch.device) -> float:
    start = time.perf_counter()
    run.step(batch)  # type: ignore[arg-type, unused-ignore]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
