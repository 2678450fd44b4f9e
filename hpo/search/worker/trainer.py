"""What a worker needs from training, and the real thing made from a spec and a data folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hpo.control import Control
from hpo.study.config import TrainConfig
from hpo.study.record import Provenance
from hpo.study.spec import Scoring, StudySpec
from hpo.training.report import EpochReport

if TYPE_CHECKING:
    from hpo.data.development import Development
    from hpo.training.loop.checkpoint import Checkpoint


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One trial to train, or to go on with from its checkpoint.

    seed: of everything that is drawn. number, fence: name its checkpoints. control: obeyed at each step; once its stop
    is requested, the trainer saves a checkpoint and ends early, without an error. kept_at: where the worker that held
    the trial before keeps its checkpoints, HOST:FOLDER.
    """

    config: TrainConfig
    seed: int
    number: int
    fence: int = 1
    control: Control = field(default_factory=Control)
    kept_at: str | None = None
    scoring_seed: int | None = None


class Trainer(Protocol):
    """Trains trials of one study.

    provenance: what goes into the record of each trial. failure: what it raises if a configuration fails by its own
    fault. checkpoints: where it keeps the state of trials under way, HOST:FOLDER; None if it keeps none.
    """

    provenance: Provenance
    failure: type[Exception]

    @property
    def checkpoints(self) -> str | None: ...

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        """Reports after each epoch that it trains; those before its checkpoint are not reported again."""
        ...

    def kept(self) -> set[int]:
        """Numbers of the trials of which there are checkpoints."""
        ...

    def forget(self, number: int) -> None:
        """Removes the checkpoints of a trial that has ended."""
        ...

    def peak_memory(self) -> int | None:
        """Bytes of device memory at most in use so far, or None if the device does not say."""
        ...

    def needs_restart(self) -> bool:
        """Whether no other trial should be trained in this process, since memory was refused to it."""
        ...

    def energy(self) -> float | None:
        """Joules that this worker has used so far, or None if the device does not say."""
        ...


def make_trainer(
    spec: StudySpec,
    data_dir: str | Path | None,
    device: str = "auto",
    checkpoints: Path | None = None,
    sharing: int = 1,
) -> Trainer:
    """The real trainer of a study; loads the data once, from `data_folder(data_dir)`.

    checkpoints: a folder of this study's own; None: a trial that is given back begins anew.
    sharing: workers on the device, each of which is taken to use an equal part of its energy.
    Raises DataError, DeviceError.
    """
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder

    folder = data_folder(str(data_dir) if data_dir is not None else None)
    return _StudyTrainer(spec, load_development(spec.data, folder), device, checkpoints, sharing)


class _StudyTrainer:
    def __init__(
        self, spec: StudySpec, development: Development, device: str, checkpoints: Path | None, sharing: int
    ) -> None:
        from hpo.training.machine.device import choose_device
        from hpo.training.machine.energy import EnergyMeter
        from hpo.training.machine.failure import TrainingFailure
        from hpo.training.machine.provenance import provenance

        self.failure: type[Exception] = TrainingFailure
        self.provenance = provenance(device, development.md5)
        self._spec, self._development, self._device, self._folder = spec, development, device, checkpoints
        self._meter, self._sharing = EnergyMeter(choose_device(device)), sharing

    @property
    def checkpoints(self) -> str | None:
        """HOST:FOLDER, or None if it keeps none."""
        return None if self._folder is None else f"{os.uname().nodename}:{self._folder}"

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        from hpo.data.rows import scoring_folds
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
        )

    def kept(self) -> set[int]:
        """Numbers of the trials of which there are checkpoints."""
        from hpo.training.loop.checkpoint import trials_with_checkpoints

        return set() if self._folder is None else trials_with_checkpoints(self._folder)

    def forget(self, number: int) -> None:
        """Removes the checkpoints of a trial that has ended."""
        from hpo.training.loop.checkpoint import remove_checkpoints

        if self._folder is not None:
            remove_checkpoints(self._folder, number)

    def peak_memory(self) -> int | None:
        """Bytes of device memory at most in use so far, or None if the device does not say."""
        from hpo.training.machine.device import choose_device, peak_memory_bytes

        return peak_memory_bytes(choose_device(self._device)) or None

    def needs_restart(self) -> bool:
        """Whether memory was refused to this process, see `hpo.training.machine.limits`."""
        from hpo.training.machine.limits import process_is_tainted

        return process_is_tainted()

    def energy(self) -> float | None:
        """Joules of this worker's part of the device so far, or None if the device does not say."""
        joules = self._meter.joules()
        return None if joules is None else joules / self._sharing

    def _scoring(self, task: Task) -> Scoring:
        scoring = self._spec.scoring
        return scoring if task.scoring_seed is None else scoring.model_copy(update={"seed": task.scoring_seed})

    def _checkpoint(self, task: Task) -> Checkpoint | None:
        from hpo.training.loop.checkpoint import Checkpoint

        if self._folder is None:
            return None
        found = Checkpoint(self._folder, task.number, task.fence, self._identity(task))
        if task.fence > 1 and not found.exists():
            before = (
                f"; its last worker kept them in {task.kept_at}" if task.kept_at not in (None, self.checkpoints) else ""
            )
            _log.warning("trial %d restarts: no checkpoint in %s%s", task.number, self.checkpoints, before)
        return found

    def _identity(self, task: Task) -> str:
        """Everything that a resumed trial must share with its first life to be the same trial."""
        shared = [
            task.config.identity(),
            task.seed,
            task.scoring_seed,
            self.provenance.data_md5,
            self._spec.fingerprint(),
            self.provenance.code_version,
            self.provenance.environment.get("torch"),
            self.provenance.environment.get("libauc"),
        ]
        return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()
