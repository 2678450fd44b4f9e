"""A trainer without networks, and small specs, records and reports to go with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from hpo.control import Stop, StopReason
from hpo.data.fold_scores import FoldScores
from hpo.search.worker.trainer import Task
from hpo.study.config import TrainConfig
from hpo.study.record import Provenance, Seeds, TrialRecord
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import Budget, Search, StudySpec
from hpo.study.stages import make_stages, steps
from hpo.testing.scores import make_scores
from hpo.training.report import EpochReport

PROVENANCE = Provenance(code_version="abc1234", dirty=False, environment={"torch": "0.0"}, data_md5="d41d8")
ROC = tuple((place / 40) ** 0.3 for place in range(41))


def make_report(
    epoch: int,
    auc: float,
    *,
    fold_aucs: tuple[float, ...] | None = None,
    training_auc: float | None = 0.7,
    training_loss: float | None = 0.3,
    seconds: float = 0.01,
    scores: tuple[FoldScores, ...] = (),
) -> EpochReport:
    """Make a report of one epoch with plausible values for what is not given, without scores.

    Args:
        fold_aucs: None for five folds of equal AUC.
    """
    folds = (auc,) * 5 if fold_aucs is None else fold_aucs
    return EpochReport(epoch, auc, 0.02, folds, training_auc, training_loss, seconds, ROC, scores)


def make_record(config: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> TrialRecord:
    """Make the record of a trial with plausible values for what is not given."""
    seeds = Seeds(study_seed=0, trial_seed=1)
    return TrialRecord(config=dict(config), params=dict(params or {}), seeds=seeds, provenance=PROVENANCE)


class StopAfter(Stop):
    """A stop that is requested once it has been polled so many times."""

    def __init__(self, polls: int) -> None:
        super().__init__()
        self._left = polls

    @property
    def requested(self) -> bool:
        """Whether the polls are used up."""
        self._left -= 1
        if self._left < 0 and StopReason.SIGNAL not in self:
            self.request(StopReason.SIGNAL)
        return super().requested


class FakeFailure(Exception):  # noqa: N818
    """What `FakeTrainer` raises for a configuration that is to fail."""


class FakeTrainer:
    """A trainer for `hpo.run_worker(study, trainer=...)` that learns at once.

    The AUC of an epoch follows from the learning rate (best at .01), the epoch and, in the ninth digit, the seed; the
    scores of its folds have about that AUC.

    Attributes:
        trained: configuration and seed of each trial that was begun.
        divided: seed of the folds of each trial that was begun; None where the study's own folds are used.
        stop: whether the trial in training is asked to stop.
    """

    def __init__(
        self,
        epochs: int = 4,
        seconds: float = 0.0,
        fails: Callable[[TrainConfig], bool] = lambda _: False,
        on_epoch: Callable[[int], None] = lambda _: None,
        training_auc: Callable[[TrainConfig], float] = lambda _: 0.7,
    ) -> None:
        """Make a trainer.

        Args:
            epochs: reports of each trial.
            seconds: time to sleep in each epoch, in ten steps between which a stop is noticed.
            fails: configurations whose trials fail in their first epoch.
            on_epoch: called at the end of each epoch, before its report.
            training_auc: training AUC of each report.
        """
        self.provenance = PROVENANCE
        self.failure: type[Exception] = FakeFailure
        self.checkpoints: str | None = None
        self.trained: list[tuple[TrainConfig, int]] = []
        self.divided: list[int | None] = []
        self.stop: Callable[[], bool] = lambda: False
        self._epochs, self._seconds, self._fails, self._on_epoch = epochs, seconds, fails, on_epoch
        self._training_auc = training_auc

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        """Yield the reports of one trial; nothing is resumed, each call starts at the first epoch.

        It has the folds and the stages of the task, or two folds in lockstep.
        """
        config = task.config
        folds = task.stages[-1].folds if task.stages else 2
        plan = steps(make_stages(task.stages[:-1], folds, self._epochs))
        self.trained.append((config, task.seed))
        self.divided.append(task.scoring_seed)
        self.stop = lambda: task.control.stop.requested
        for done, reported in enumerate(plan):
            for step in range(10):
                task.control.progress((done + step / 10) / len(plan))
                if task.control.stop.requested:
                    return
                if self._seconds:
                    time.sleep(self._seconds / 10)
            if self._fails(config):
                raise FakeFailure("diverged")
            self._on_epoch(reported.epochs)
            penalty = 0.1 * abs(math.log10(config.learning_rate) + 2)
            auc = 0.9 - penalty - 0.1 / reported.epochs + (task.seed % 997) * 1e-9
            scores = tuple(make_scores(auc, task.seed, fold) for fold in range(reported.folds))
            aucs = (auc,) * reported.folds
            yield make_report(
                reported.epochs, auc, fold_aucs=aucs, training_auc=self._training_auc(config), scores=scores
            )

    def kept(self) -> set[int]:
        """Return the numbers of the trials with a checkpoint: none."""
        return set()

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """Remove the checkpoint of a trial: there is none."""

    def peak_memory(self) -> int | None:
        """Return the bytes of the last trial."""
        return 1024

    def needs_restart(self) -> bool:
        """Return whether the worker should start anew for lack of memory: never."""
        return False

    def energy(self) -> float | None:
        """Return the energy in joules: 3 for each trial that was begun."""
        return 3.0 * len(self.trained)


def make_spec(trials: int = 6, *, epochs: int = 4, references: bool = False, **search: Any) -> StudySpec:
    """Make the spec of a study of five settings, one of them conditional; without a pruner or baselines by default."""
    options = {"pruner": "none", "startup_trials": 4, "references": references, **search}
    return StudySpec(
        dataset="breast",
        search=Search(**options),
        budget=Budget(trials=trials, epochs=epochs),
        fixed={"schedule": "constant"},
        space={
            "learning_rate": FloatRange(low=1e-4, high=0.3, log=True),
            "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
            "loss": Choices(choices=("aucm_v1", "cross_entropy")),
            "margin": FloatRange(low=0.1, high=1.0),
            "batch_size": Choices(choices=(32, 64, 128)),
        },
    )
