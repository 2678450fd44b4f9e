"""Train one configuration once on the whole development set, for its weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.errors import first_line
from hpo.study.config import TrainConfig
from hpo.study.record import ResourceUsage
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import Checkpoint
from hpo.training.loop.co_training import place_others
from hpo.training.loop.fold import Run
from hpo.training.loop.fold_parallel import own_stream
from hpo.training.loop.model_file import Model
from hpo.training.machine.device import choose_device, choose_machine, one_thread, peak_memory_bytes, start_of_trial
from hpo.training.machine.energy import EnergyMeter
from hpo.training.machine.failure import memory_failures
from hpo.training.machine.usage import UsageMeter
from hpo.training.model.network import make_network
from hpo.training.report import FoldReport

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Refit:
    """A trained model.

    Attributes:
        selection: sample numbers of the selection set that chose its epoch; None if the last weights or their average
            count.
        training_auc, training_loss: of the last epoch's batches.
        usage: its cost over all attempts.
    """

    model: Model
    selection: NDArray[np.int64] | None
    training_auc: float
    training_loss: float
    usage: ResourceUsage


def refit(
    config: TrainConfig,
    development: Development,
    epochs: int,
    seed: int,
    device: str = "auto",
    progress: Callable[[float], None] = lambda _share: None,
    checkpoint: Checkpoint | None = None,
    others: Sequence[Development] = (),
) -> Generator[int, None, Refit]:
    """Train a configuration on the whole development set, divided by its `resplit` into training and selection set.

    Yields the number of each epoch, from 1, once it is done; the generator returns the trained model.

    Args:
        progress: called with the fraction of steps done after each step; an exception that it raises ends the training
            after the state is saved.
        checkpoint: resumed from, saved when due, and removed at the end.
        others: development sets of the datasets that `config.co_training` names; the model is for `development`'s.

    Raises:
        TrainingFailure, DeviceError, DataError: as `train_trial`.
    """
    with memory_failures():
        start_of_trial(choose_device(device))
        machine = choose_machine(choose_device(device), development.dataset.dimensions, config.precision)
        with one_thread(), own_stream(machine.device):
            resident = make_device_dataset(development, config.input_size, machine.device)
            rows = np.arange(len(development))
            placed = place_others(config, others, machine)

            def make_run() -> Run:
                return Run(config, development, resident, rows, epochs, seed, machine, placed, keep_weights=True)

            run, before = _resumed(make_run, checkpoint, machine.name)
            energy = EnergyMeter(machine.device)
            meter = UsageMeter(before, energy.joules, lambda: peak_memory_bytes(machine.device) or None)
            report = yield from _train(run, development, meter, checkpoint, progress, machine.name)
    network = make_network(config, development.dataset, seed=0)
    network.load_state_dict(run.best.weights)
    if checkpoint is not None:
        checkpoint.remove()
    model = Model(development.dataset, config, network, {})
    return Refit(model, run.split.selection, report.training_auc, report.training_loss, meter.read())


def _train(
    run: Run,
    development: Development,
    meter: UsageMeter,
    checkpoint: Checkpoint | None,
    progress: Callable[[float], None],
    machine: str,
) -> Generator[int, None, FoldReport]:
    watched = _scored_samples(run, development)
    report: FoldReport | None = None
    for epoch in run.remaining_epochs():
        work = run.work(epoch, watched)
        while True:
            try:
                next(work)
            except StopIteration as end:
                report = end.value
                meter.read()
                break
            _after_unit(run, meter, checkpoint, progress, machine)
        yield epoch + 1
    assert report is not None, "a resumed refit has an epoch to finish"
    return report


def _scored_samples(run: Run, development: Development) -> NDArray[np.int64]:
    """Return the samples that are scored after each epoch: the selection set, or others whose scores choose nothing."""
    if run.split.selection is not None:
        return run.split.selection
    validation = np.flatnonzero(development.is_validation)
    # In most data of one's own there are none, and those of a loader may all have the same labels, without an AUC.
    has_classes = (development.labels[validation] != development.labels[validation][:1]).any()
    return validation if has_classes else np.arange(len(development))


def _resumed(make_run: Callable[[], Run], checkpoint: Checkpoint | None, machine: str) -> tuple[Run, ResourceUsage]:
    """Return a run that goes on from the checkpoint, if there is one that fits, and the cost of earlier attempts.

    A checkpoint of another kind of machine does not fit: its random numbers and its precision are others.
    """
    found = checkpoint.load() if checkpoint is not None else None
    if checkpoint is None or found is None:
        return make_run(), ResourceUsage()
    state, folds = found
    # A file of an earlier version has the cost alone, and says nothing of its machine.
    usage = ResourceUsage.model_validate(state.get("usage", state))
    if state.get("machine", machine) != machine:
        _log.warning("%s restarts: trained on %s, here is %s", checkpoint.name, state["machine"], machine)
        return make_run(), usage
    run = make_run()
    try:
        run.load_state_dict(next(folds))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        _log.warning("%s restarts: its checkpoint is gone or does not fit: %s", checkpoint.name, first_line(error))
        return make_run(), usage
    return run, usage


def _after_unit(
    run: Run, meter: UsageMeter, checkpoint: Checkpoint | None, progress: Callable[[float], None], machine: str
) -> None:
    try:
        progress(run.steps_done / run.total_steps)
    except BaseException:
        if checkpoint is not None:
            _save(run, meter, checkpoint, machine)
        raise
    if checkpoint is not None and checkpoint.is_due():
        _save(run, meter, checkpoint, machine)


def _save(run: Run, meter: UsageMeter, checkpoint: Checkpoint, machine: str) -> None:
    state = {"machine": machine, "usage": meter.read().model_dump(exclude_none=True)}
    checkpoint.save(state, [run.state_dict()])
