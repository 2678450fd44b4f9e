"""Train a configuration on every fold and report after each epoch: `train_trial`, the package's public API."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterator
from contextlib import closing

from hpo.control import Control
from hpo.data.development import Development
from hpo.data.folds import Fold
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import Checkpoint, tensor_bytes
from hpo.training.loop.fold import Run
from hpo.training.loop.fold_parallel import choose_fold_executor, cut
from hpo.training.machine.device import choose_device, choose_machine, start_of_trial
from hpo.training.machine.failure import TrainingFailure, memory_failures
from hpo.training.report import EpochReport, FoldReport, over_folds
from hpo.training.seeds import derive_seed
from hpo.training.state import StateDict

__all__ = ["Checkpoint", "EpochReport", "TrainingFailure", "train_trial"]

_log = logging.getLogger(__name__)


def train_trial(
    config: TrainConfig,
    development: Development,
    folds: tuple[Fold, ...],
    epochs: int,
    seed: int,
    device: str = "auto",
    control: Control | None = None,
    checkpoint: Checkpoint | None = None,
) -> Iterator[EpochReport]:
    """Train a configuration on all folds in lockstep, one report per epoch; stop by leaving the iterator.

    With equal arguments, reports on a CPU are bit-equal, whatever the number of cores, and whether or not the trial was
    interrupted and resumed. Folds are trained in parallel, as many as cores and memory bear.

    Args:
        seed: of weights, resplits, batches and augmentation.
        device: auto, cpu, cuda or cuda:N.
        control: checked after every step and evaluation batch of the folds in progress, and before each epoch. Once its
            stop is requested, the state is saved and the iterator ends without an error.
        checkpoint: resumed from if there is a file, and saved when due. Requesting the next report acknowledges the
            last one, which is not yielded again after a resume.

    Raises:
        TrainingFailure: if the configuration diverges or needs more memory than there is.
        DeviceError: for a device that does not exist.
        DataError: if a resplit leaves a part without a class.
    """

    def begin() -> _Trial:
        with memory_failures():
            return _Trial(config, development, folds, epochs, seed, device, control or Control(), checkpoint)

    trial = begin()
    if checkpoint is not None:
        checkpoint.announce(trial.checkpoint_bytes())
        if not trial.resume(checkpoint):
            del trial
            trial = begin()
    try:
        while trial.epoch < epochs:
            trial.save_or_stop()
            with memory_failures():
                report = trial.train_epoch()
            yield report
    except _StopRequested:
        return


@functools.cache
def _log_once(message: str) -> None:
    """Log a message that this process has not logged before."""
    _log.info(message)


class _StopRequested(Exception):  # noqa: N818 - the way out of a step, not an error
    """A stop was requested, and the state was saved if possible."""


class _Trial:
    """The runs of a trial and its position.

    Attributes:
        epoch: the one in progress, from 0.
        reports: of the folds that have finished it, by number.
    """

    def __init__(
        self,
        config: TrainConfig,
        development: Development,
        folds: tuple[Fold, ...],
        epochs: int,
        seed: int,
        device: str,
        control: Control,
        checkpoint: Checkpoint | None,
    ) -> None:
        start_of_trial(choose_device(device))
        machine = choose_machine(choose_device(device), development.dataset.dimensions, config.precision)
        resident = make_device_dataset(development, config.input_size, machine.device)
        self.config, self.folds, self.control, self.checkpoint = config, folds, control, checkpoint
        self.machine = f"{machine.device.type} in {machine.dtype}"
        self.way = choose_fold_executor(config, development.dataset, len(folds), machine)
        _log_once(f"trials train {self.way.describe()}")

        def make_run(number: int, fold: Fold) -> Run:
            run_seed = derive_seed(seed, "fold", number)
            with self.way.turn(number):
                return Run(config, development, resident, fold.training, epochs, run_seed, machine)

        self.runs = [make_run(number, fold) for number, fold in enumerate(folds)]
        self.epoch = 0
        self.reports: dict[int, FoldReport] = {}
        self._began: float | None = None
        self._saved = self._position

    def train_epoch(self) -> EpochReport:
        """Train the rest of the epoch in progress, one group of folds after the other."""
        self._began = self._began or time.perf_counter()
        for group in cut(len(self.folds), self.way.size):
            left = [fold for fold in group if fold not in self.reports]
            works = {fold: self.runs[fold].work(self.epoch, self.folds[fold].validation) for fold in left}
            with closing(self.way.rounds(works)) as rounds:
                for ended in rounds:
                    self.reports |= ended
                    self.after_units()
        reports = [self.reports[number] for number in range(len(self.folds))]
        report = over_folds(self.epoch + 1, reports, time.perf_counter() - self._began)
        self.epoch += 1
        self.reports, self._began = {}, None
        return report

    def after_units(self) -> None:
        """Report progress after each round of steps or scoring batches, then save or stop."""
        self.control.progress(self._position[0] / sum(run.total_steps for run in self.runs))
        self.save_or_stop()

    def save_or_stop(self) -> None:
        """Save a checkpoint that is due; if a stop is requested, save and raise _StopRequested."""
        stopping, checkpoint = self.control.stop.requested, self.checkpoint
        if checkpoint is not None and (stopping or checkpoint.is_due()):
            self._save(checkpoint)
        if stopping:
            raise _StopRequested

    def checkpoint_bytes(self) -> int:
        """Return the size that a checkpoint may grow to, within a few percent."""
        network = tensor_bytes(self.runs[0].network.state_dict())
        # The optimizer's buffers come with its first step, the best weights with the first epoch that is selected by.
        later = (2 if self.config.optimizer == "adam" else 1) + (self.config.resplit != "none")
        return tensor_bytes([run.state_dict() for run in self.runs]) + later * network * len(self.runs)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Resume from the trial's last file, if there is one; return False if that failed midway."""
        found = checkpoint.load()
        if found is None:
            return True
        state, folds = found
        if state["machine"] != self.machine:
            _log.warning("%s restarts: trained on %s, here is %s", checkpoint.name, state["machine"], self.machine)
            return True
        try:
            for number, (run, fold) in enumerate(zip(self.runs, folds, strict=True)):
                with self.way.turn(number):
                    run.load_state_dict(fold)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            _log.warning("%s restarts: its checkpoint is gone or does not fit: %s", checkpoint.name, error)
            return False
        self.epoch = state["epoch"]
        self.reports = {
            number: FoldReport.from_state_dict(report, self.runs[number].kept_scores(self.folds[number].validation))
            for number, report in state["reports"].items()
        }
        self._began = time.perf_counter() - state["seconds"]
        self._saved = self._position
        steps, total = self._position[0], sum(run.total_steps for run in self.runs)
        _log.info("%s resumes in epoch %d, step %d of %d", checkpoint.name, self.epoch + 1, steps, total)
        return True

    @property
    def _position(self) -> tuple[int, int]:
        """Return the steps taken over all folds, and the folds done with the epoch in progress."""
        return sum(run.steps_done for run in self.runs), len(self.reports)

    def _save(self, checkpoint: Checkpoint) -> None:
        if self._position == self._saved:
            return
        state: StateDict = {
            "machine": self.machine,
            "epoch": self.epoch,
            "seconds": 0.0 if self._began is None else time.perf_counter() - self._began,
            "reports": {number: report.state_dict() for number, report in self.reports.items()},
        }
        self.way.settle()
        if checkpoint.save(state, [run.state_dict() for run in self.runs]):
            self._saved = self._position
