"""`Trainer`: the worker's interface to training, and its implementation for a study."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from hpo.control import Control
from hpo.errors import DataError, UsageError
from hpo.study.co_training import other_datasets
from hpo.study.config import TrainConfig
from hpo.study.record import Provenance
from hpo.study.spec import Scoring, StudySpec
from hpo.study.stages import Stage
from hpo.training.report import EpochReport, NetworkEpoch

if TYPE_CHECKING:
    from hpo.data.development import Development
    from hpo.data.others import Others
    from hpo.training.loop.checkpoint import Checkpoint


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One trial to train, or to resume from its checkpoint.

    Attributes:
        seed: of everything random.
        number: of the trial; names its checkpoints together with `fence`.
        fence: fencing token.
        control: checked at each step; once a stop is requested, the trainer saves a checkpoint and ends early, without
            an error.
        kept_at: where the previous worker of the trial keeps its checkpoints, HOST:FOLDER.
        scoring_seed: seed of the folds; None for the study's folds.
        stages: stages in which it is trained; none for all folds in lockstep.
        slot: of the budget, from 0.
        attempts: names of the attempts at the trial, this one last; with them its checkpoints are told from those of
            another copy of the database.
        known: maps the epochs whose reports are stored to the folds that they rest on. A checkpoint may be beyond the
            last: of a database that was restored from a backup.
    """

    config: TrainConfig
    seed: int
    number: int
    fence: int = 1
    control: Control = field(default_factory=Control)
    kept_at: str | None = None
    scoring_seed: int | None = None
    stages: tuple[Stage, ...] = ()
    slot: int = 0
    attempts: tuple[str, ...] = ()
    known: Mapping[int, int] = field(default_factory=dict)


Report_co = TypeVar("Report_co", covariant=True)
"""What training yields after each epoch."""


class Training(Protocol[Report_co]):
    """Trains the trials, or the final networks, of one study.

    Attributes:
        provenance: stored in the record of each trial.
        failure: exception for trials that fail because of their own settings.
        checkpoints: where it keeps checkpoints, HOST:FOLDER; None if it keeps none.
    """

    provenance: Provenance
    failure: type[Exception]

    @property
    def checkpoints(self) -> str | None: ...

    def __call__(self, task: Task) -> Iterator[Report_co]:
        """Train a trial and yield a report after each epoch; what is stored before its checkpoint is not made again."""
        ...

    def kept(self) -> set[int]:
        """Return the numbers of the trials that have checkpoints."""
        ...

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """Remove the checkpoints of a finished trial, those of its attempts and those of none."""
        ...

    def peak_memory(self) -> int | None:
        """Return the peak device memory so far in bytes, or None if it cannot be measured."""
        ...

    def needs_restart(self) -> bool:
        """Return whether this process ran out of memory and should not train another trial."""
        ...

    def energy(self) -> float | None:
        """Return the energy that this worker has used so far in joules, or None if it cannot be measured."""
        ...


Trainer = Training[EpochReport]
"""Trains the trials of a search, a confirmation or an ablation."""

NetworkTrainer = Training[NetworkEpoch]
"""Trains final networks, whose weights it keeps."""


def make_trainer(
    spec: StudySpec,
    data_dir: str | Path | None,
    device: str = "auto",
    checkpoints: Path | None = None,
    sharing: int = 1,
) -> Trainer:
    """Make the trainer of a study; the data are loaded once, from `data_folder(data_dir)`.

    So are all datasets that any of its trials may train on besides (`co_training`), before the first trial is claimed.

    Args:
        checkpoints: this study's own folder; None to keep no checkpoints, so that released trials restart.
        sharing: number of workers on the device, among which its energy is divided equally.

    Raises:
        DataError: if the data cannot be loaded.
        DeviceError: if the device is not available.
    """
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.data.folds import official_crossings
    from hpo.data.others import load_others

    folder = data_folder(str(data_dir) if data_dir is not None else None)
    development = load_development(spec.data, folder, spec.scoring.groups)
    if note := official_crossings(development, spec.scoring):
        _log.info(note)
    others = load_others(spec.other_datasets(), folder)
    return _StudyTrainer(spec, development, others, folder, device, checkpoints, sharing)


class OnDevice:
    """What trainers say of their device and process.

    Args:
        sharing: number of workers on the device.
    """

    def __init__(self, device: str, sharing: int) -> None:
        from hpo.training.machine.device import choose_device
        from hpo.training.machine.energy import EnergyMeter

        self._device, self._sharing = device, sharing
        self._meter = EnergyMeter(choose_device(device))

    def peak_memory(self) -> int | None:
        """Return the peak device memory so far in bytes, or None if it cannot be measured."""
        from hpo.training.machine.device import choose_device, peak_memory_bytes

        return peak_memory_bytes(choose_device(self._device)) or None

    def needs_restart(self) -> bool:
        """Return whether this process ran out of memory, see `hpo.training.machine.limits`."""
        from hpo.training.machine.limits import process_is_tainted

        return process_is_tainted()

    def energy(self) -> float | None:
        """Return this worker's share of the device's energy so far in joules, or None if it cannot be measured."""
        joules = self._meter.joules()
        return None if joules is None else joules / self._sharing


class _StudyTrainer(OnDevice):
    def __init__(
        self,
        spec: StudySpec,
        development: Development,
        others: Others,
        data_dir: Path,
        device: str,
        checkpoints: Path | None,
        sharing: int,
    ) -> None:
        from hpo.training.machine.failure import TrainingFailure
        from hpo.training.machine.provenance import provenance

        super().__init__(device, sharing)
        self.failure: type[Exception] = TrainingFailure
        self.provenance = provenance(device, development.md5, others)
        self._spec, self._development, self._folder = spec, development, checkpoints
        self._others, self._data_dir = others, data_dir

    @property
    def checkpoints(self) -> str | None:
        """HOST:FOLDER, or None if it keeps none."""
        return None if self._folder is None else f"{os.uname().nodename}:{self._folder}"

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        from hpo.data.folds import scoring_folds
        from hpo.training.loop.trial import train_trial

        yield from train_trial(
            task.config,
            self._development,
            scoring_folds(self._development, self._scoring(task), task.seed),
            epochs=self._spec.budget.epochs,
            seed=task.seed,
            device=self._device,
            control=task.control,
            checkpoint=self._checkpoint(task),
            stages=task.stages,
            others=self._others_of(task.config),
            known=task.known,
        )

    def kept(self) -> set[int]:
        """Return the numbers of the trials that have checkpoints."""
        from hpo.training.loop.checkpoint import trials_with_checkpoints

        return set() if self._folder is None else trials_with_checkpoints(self._folder)

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """Remove the checkpoints of a finished trial, those of its attempts and those of none."""
        from hpo.training.loop.checkpoint import remove_checkpoints

        if self._folder is not None:
            remove_checkpoints(self._folder, number, attempts)

    def _scoring(self, task: Task) -> Scoring:
        scoring = self._spec.scoring
        return scoring if task.scoring_seed is None else scoring.model_copy(update={"seed": task.scoring_seed})

    def _others_of(self, config: TrainConfig) -> tuple[Development, ...]:
        """Return the development sets that a configuration trains on besides.

        Raises:
            UsageError: if one has been added to the study since this worker began, and cannot be loaded. Not DataError,
                by which the trial would fail: it is released, and this worker ends.
        """
        from hpo.data.others import load_others, others_of

        target = self._development.dataset
        added = [one for one in other_datasets(config.co_training, target) if one.name not in self._others]
        try:
            self._others = {**self._others, **load_others(added, self._data_dir)}
        except DataError as error:
            raise UsageError(f"the study has been extended since this worker began, and {error}") from None
        return others_of(config, target, self._others)

    def _checkpoint(self, task: Task) -> Checkpoint | None:
        from hpo.training.loop.checkpoint import Checkpoint

        if self._folder is None:
            return None
        checkpoint = Checkpoint(self._folder, task.number, task.fence, self._identity(task), attempts=task.attempts)
        if task.fence > 1 and not checkpoint.exists():
            before = (
                f"; its last worker kept them in {task.kept_at}" if task.kept_at not in (None, self.checkpoints) else ""
            )
            _log.warning("trial %d restarts: no checkpoint in %s%s", task.number, self.checkpoints, before)
        return checkpoint

    def _identity(self, task: Task) -> str:
        """Return a hash of everything that must match for a checkpoint to be resumed."""
        shared = [
            task.config.identity(),
            task.seed,
            task.scoring_seed,
            [str(stage) for stage in task.stages],
            self.provenance.data_md5,
            # A plan names its search, which is renamed, and has candidates added; what is trained of it is above.
            {key: value for key, value in self._spec.canonical().items() if key not in ("space", "start", "plan")},
            self.provenance.code_version,
            self.provenance.environment.get("torch"),
            self.provenance.environment.get("libauc"),
        ]
        # Checkpoints of trials without others keep their hashes.
        shared += [f"{other.dataset.name} {other.md5}" for other in self._others_of(task.config)]
        return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()
