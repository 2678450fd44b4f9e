"""Estimate the time of an epoch of a trial on this machine from a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch

from hpo.data.development import Development
from hpo.data.folds import Fold
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.cuda_graph import FIRST_STEPS
from hpo.training.loop.fold import Run
from hpo.training.loop.fold_parallel import own_stream
from hpo.training.machine.device import Machine, choose_device, choose_machine, one_thread
from hpo.training.machine.failure import memory_failures
from hpo.training.probe.samples import first_samples, plain

_PIXELS_ON_A_CPU = 32 * 28 * 28
_BATCH_ON_A_GPU = 128
_LEAST_BATCH = 4


def seconds_per_epoch(
    config: TrainConfig, development: Development, folds: tuple[Fold, ...], device: str = "auto"
) -> float:
    """Estimate the seconds of one epoch over all folds, one by one, scoring included, from one step after warm-up.

    On a CPU one thread computes, and the step's batch has the pixels of 32 images of 28 pixels, at least 4 samples, and
    is scaled to the samples of an epoch; the optimizer's update, whose cost is per step, not per sample, is timed
    separately. Accurate within about a quarter on an idle machine; folds side by side take less. Steps on other
    datasets (`co_training`) take the place of others, and cost the same. Raises as `train_trial`.
    """
    with memory_failures(), one_thread(), ExitStack() as stack:
        machine = choose_machine(choose_device(device), development.dataset.dimensions, config.precision)
        stack.enter_context(own_stream(machine.device))
        batch_size = _probe_batch(development, config, machine)
        probe = plain(config).model_copy(update={"batch_size": batch_size})
        few = first_samples(development, batch_size)
        resident = make_device_dataset(few, config.input_size, machine.device)
        run = Run(probe, few, resident, np.arange(batch_size), 1, 0, machine)
        batch = next(run.batches(0))
        for _ in range(FIRST_STEPS + 1 if machine.device.type == "cuda" else 1):
            run.step(batch)
        whole = _seconds(lambda: run.step(batch), machine)
        update = _seconds(lambda: _update(run), machine)
        scoring = _seconds(lambda: run.scores(resident.images), machine)
    trained = sum(len(fold.training) for fold in folds)
    steps = sum(-(-len(fold.training) // config.batch_size) for fold in folds)
    scored = sum(len(fold.validation) for fold in folds)
    selected = config.resplit_share * trained if config.resplit != "none" else 0
    return max(whole - update, 0.0) / batch_size * trained + update * steps + scoring / batch_size * (scored + selected)


def _probe_batch(development: Development, config: TrainConfig, machine: Machine) -> int:
    if machine.device.type == "cuda":
        wanted = _BATCH_ON_A_GPU
    else:
        edge = development.dataset.edge(config.input_size)
        wanted = max(_LEAST_BATCH, _PIXELS_ON_A_CPU // edge**development.dataset.dimensions)
    return max(2, min(wanted, config.batch_size, len(development)))


def _update(run: Run) -> None:
    for group in run.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    run.optimizer.step()
    run.network.zero_grad()


def _seconds(work: Callable[[], object], machine: Machine) -> float:
    _wait_for(machine)
    start = time.perf_counter()
    work()
    _wait_for(machine)
    return time.perf_counter() - start


def _wait_for(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)
