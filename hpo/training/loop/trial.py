"""Train a configuration on every fold and report after each epoch: `train_trial`, the package's public API."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from hpo.control import Control
from hpo.data.development import Development
from hpo.data.folds import Fold
from hpo.study.config import TrainConfig
from hpo.study.stages import Stage, make_stages, steps
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import Checkpoint, largest_bytes
from hpo.training.loop.co_training import place_others
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
    stages: Sequence[Stage] = (),
    others: Sequence[Development] = (),
    known: Mapping[int, int] | None = None,
) -> Iterator[EpochReport]:
    """Train a configuration on its folds, one report per epoch; stop by leaving the iterator.

    A report rests on the first folds, as many as the stages have come to; if folds are added later, their epochs are
    reported again, over more folds. Folds that are at the same epoch are trained in lockstep.

    With equal arguments, reports on a CPU are bit-equal, whatever the number of cores, and whether or not the trial was
    interrupted and resumed. Folds are trained in parallel, as many as cores and memory allow.

    Args:
        seed: of weights, resplits, batches and augmentation.
        device: auto, cpu, cuda or cuda:N.
        control: checked after every step and evaluation batch of the folds in progress, and before each epoch. Once its
            stop is requested, the state is saved and the iterator ends without an error.
        checkpoint: resumed from if there is a file, and saved when due. Requesting the next report acknowledges the
            last one, which is not yielded again after a resume.
        stages: stages of the trial, see `hpo.study.stages`; none for all folds in lockstep.
        others: development sets of the datasets that `config.co_training` names, see `hpo.data.others`.
        known: maps the epochs whose reports the caller has to the folds that they rest on. Other reports that the
            checkpoint is beyond are yielded again, without the scores of earlier epochs. None if it has them all.

    Raises:
        TrainingFailure: if the configuration diverges or needs more memory than there is.
        DeviceError: for a device that does not exist.
        DataError: if a resplit leaves a part without a class.
    """

    plan = steps(make_stages(stages, len(folds), epochs))

    def begin() -> _Trial:
        with memory_failures():
            return _Trial(config, development, folds, epochs, seed, device, control or Control(), checkpoint, others)

    trial = begin()
    if checkpoint is not None:
        checkpoint.announce(trial.checkpoint_bytes())
        if not trial.resume(checkpoint):
            del trial
            trial = begin()
    if known is not None:
        trial.go_back_to_missing(plan, known)
    try:
        while trial.reported < len(plan):
            trial.save_or_stop()
            with memory_failures():
                report = trial.train(plan[trial.reported])
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
        runs: of the folds that have been begun, the first ones.
        reports: of each of these folds, by epoch.
        reported: number of reports that have been yielded, or are about to be.
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
        others: Sequence[Development],
    ) -> None:
        start_of_trial(choose_device(device))
        machine = choose_machine(choose_device(device), development.dataset.dimensions, config.precision)
        resident = make_device_dataset(development, config.input_size, machine.device)
        placed = place_others(config, others, machine)
        self.config, self.folds, self.control, self.checkpoint = config, folds, control, checkpoint
        self.machine = machine.name
        self.way = choose_fold_executor(config, development.dataset, len(folds), machine)
        _log_once(f"trials train {self.way.describe()}")

        def make_run(number: int) -> Run:
            run_seed = derive_seed(seed, "fold", number)
            with self.way.turn(number):
                return Run(config, development, resident, folds[number].training, epochs, run_seed, machine, placed)

        self._make_run = make_run
        self.runs = [make_run(0)]
        self.reports: list[list[FoldReport]] = [[]]
        self.reported = 0
        self._seconds = [0.0] * epochs
        self._began: float | None = None
        self._saved = self._position

    def train(self, step: Stage) -> EpochReport:
        """Train what a step lacks: one epoch of those of its folds that have not had it, as many at a time as go."""
        self._begin(step.folds)
        self._began = self._began or time.perf_counter()
        behind = [fold for fold in range(step.folds) if len(self.reports[fold]) < step.epochs]
        for group in cut(len(behind), self.way.size):
            left = [behind[place] for place in group]
            works = {fold: self.runs[fold].work(step.epochs - 1, self.folds[fold].validation) for fold in left}
            with closing(self.way.rounds(works)) as rounds:
                for ended in rounds:
                    for fold, report in ended.items():
                        # Only the last scores are kept, by the run.
                        self.reports[fold].append(dataclasses.replace(report, scores=None))
                    self.after_units()
        self._seconds[step.epochs - 1] += time.perf_counter() - self._began
        self.reported, self._began = self.reported + 1, None
        return over_folds(step.epochs, self._at(step), self._seconds[step.epochs - 1])

    def after_units(self) -> None:
        """Report progress after each round of steps or scoring batches, then save or stop."""
        self.control.progress(self._share)
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
        return largest_bytes(self.runs[0].state_dict(), self.config) * len(self.folds)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Resume from the trial's last file, if there is one; return False if that failed midway."""
        found = checkpoint.load()
        if found is None:
            return True
        state, folds = found
        if state["machine"] != self.machine:
            _log.warning("%s restarts: trained on %s, here is %s", checkpoint.name, state["machine"], self.machine)
            return True
        with memory_failures():
            self._begin(len(state["reports"]))
        try:
            for number, (run, fold) in enumerate(zip(self.runs, folds, strict=True)):
                with self.way.turn(number):
                    run.load_state_dict(fold)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            _log.warning("%s restarts: its checkpoint is gone or does not fit: %s", checkpoint.name, error)
            return False
        self.reports = [
            [FoldReport.from_state_dict(report, None) for report in reports] for reports in state["reports"]
        ]
        self.reported, self._seconds = state["reported"], state["seconds"]
        self._began = time.perf_counter() - state["seconds_of_step"]
        self._saved = self._position
        _log.info("%s resumes after %.0f %% of a whole trial", checkpoint.name, 100 * self._share)
        return True

    def go_back_to_missing(self, plan: Sequence[Stage], known: Mapping[int, int]) -> None:
        """Go back to the first report that the caller lacks, and report what has been trained since once more."""
        missing = next((place for place, step in enumerate(plan) if known.get(step.epochs, 0) < step.folds), len(plan))
        if missing >= self.reported:
            return
        _log.info("%d reports that the checkpoint is beyond are not stored and made again", self.reported - missing)
        if self._began is not None:
            self._seconds[plan[self.reported].epochs - 1] += time.perf_counter() - self._began
            self._began = None
        self.reported = missing

    def _begin(self, folds: int) -> None:
        """Make the runs of the first folds, as far as there are none."""
        for fold in range(len(self.runs), folds):
            self.runs.append(self._make_run(fold))
            self.reports.append([])

    def _at(self, step: Stage) -> list[FoldReport]:
        """Return the folds' reports of a step, with scores where every fold has just reached its epoch."""
        reports = [self.reports[fold][step.epochs - 1] for fold in range(step.folds)]
        if any(len(self.reports[fold]) > step.epochs for fold in range(step.folds)):
            return reports
        kept = [self.runs[fold].kept_scores(self.folds[fold].validation) for fold in range(step.folds)]
        return [dataclasses.replace(report, scores=scores) for report, scores in zip(reports, kept, strict=True)]

    @property
    def _share(self) -> float:
        """The share of a whole trial, all folds and epochs, that has been trained."""
        return sum(run.steps_done / run.total_steps for run in self.runs) / len(self.folds)

    @property
    def _position(self) -> tuple[int, int]:
        """Return the steps taken over all folds, and the epochs that folds have finished."""
        return sum(run.steps_done for run in self.runs), sum(map(len, self.reports))

    def _save(self, checkpoint: Checkpoint) -> None:
        if self._position == self._saved:
            return
        state: StateDict = {
            "machine": self.machine,
            "reported": self.reported,
            "seconds": self._seconds,
            "seconds_of_step": 0.0 if self._began is None else time.perf_counter() - self._began,
            "reports": [[report.state_dict() for report in reports] for reports in self.reports],
        }
        self.way.settle()
        if checkpoint.save(state, [run.state_dict() for run in self.runs]):
            self._saved = self._position
