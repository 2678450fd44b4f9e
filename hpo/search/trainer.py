"""What a worker needs from training, and the real thing made from a spec and a data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from hpo.study.config import TrainConfig
from hpo.study.spec import StudySpec


class Report(Protocol):
    """One epoch of a trial; `hpo.training.trial.EpochReport` has this form. seconds: wall time of the epoch."""

    @property
    def epoch(self) -> int: ...
    @property
    def auc(self) -> float: ...
    @property
    def standard_error(self) -> float | None: ...
    @property
    def fold_aucs(self) -> Sequence[float]: ...
    @property
    def training_auc(self) -> float | None: ...
    @property
    def training_loss(self) -> float | None: ...
    @property
    def seconds(self) -> float: ...


class Trainer(Protocol):
    """Trains one configuration. failure: what it raises if the configuration fails by its own fault."""

    environment: dict[str, str]
    data_md5: str
    code_version: str
    dirty: bool
    failure: type[Exception]

    def __call__(self, config: TrainConfig, trial_seed: int, beat: Callable[[float], None]) -> Iterator[Report]:
        """Reports after each epoch; calls `beat` with the share of the trial that is done, at least each step."""
        ...

    def peak_memory(self) -> int | None:
        """Bytes of device memory at most in use so far, or None if the device does not say."""
        ...


def make_trainer(spec: StudySpec, data_dir: str | Path | None, device: str = "auto") -> Trainer:
    """The real trainer of a study; loads the data once, from `data_folder(data_dir)`. Raises DataError, DeviceError."""
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder

    folder = data_folder(str(data_dir) if data_dir is not None else None)
    return _StudyTrainer(spec, load_development(spec.data, folder), device)


class _StudyTrainer:
    def __init__(self, spec: StudySpec, development: Any, device: str) -> None:
        from hpo.training.failure import TrainingFailure
        from hpo.training.provenance import code_version, environment

        self.failure: type[Exception] = TrainingFailure
        self.environment = environment(device)
        self.code_version, self.dirty = code_version()
        self.data_md5: str = development.md5
        self._spec, self._development, self._device = spec, development, device

    def __call__(self, config: TrainConfig, trial_seed: int, beat: Callable[[float], None]) -> Iterator[Report]:
        from hpo.data.rows import scoring_folds
        from hpo.training.trial import train_trial

        folds = scoring_folds(self._development, self._spec.scoring, trial_seed)
        epochs = self._spec.budget.epochs
        yield from train_trial(
            config, self._development, folds, epochs=epochs, seed=trial_seed, device=self._device, beat=beat
        )

    def peak_memory(self) -> int | None:
        from hpo.training.device import choose_device, peak_memory_bytes

        return peak_memory_bytes(choose_device(self._device)) or None
