"""`Pruner`: the interface of pruners, which decide what trials are stopped early."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from hpo.study.choices import PRUNERS
from hpo.study.spec import StudySpec
from hpo.study.stages import Stage, make_stages
from hpo.text import brief


@dataclass(frozen=True)
class Reached:
    """A trial of the study that has reached a rung.

    Attributes:
        number: of the trial.
        fold_aucs: of the folds of the rung, after its epoch.
    """

    number: int
    fold_aucs: tuple[float, ...]

    @property
    def auc(self) -> float:
        """Mean over the folds of the rung."""
        return fmean(self.fold_aucs)


@dataclass(frozen=True)
class Rung:
    """A trial's report at a rung, compared with what the study's other trials had on the same folds after the epoch.

    Attributes:
        epoch: number of the epoch, from 1.
        auc: of the trial, mean over the folds of the rung.
        better: number of trials with a higher AUC at this rung.
        recorded: number of trials that have reached this rung, this one included.
        folds: number of folds of the rung; the first ones of the study's.
        number: of the trial.
        read_reached: reads what `reached` returns.
    """

    epoch: int
    auc: float
    better: int
    recorded: int
    folds: int = 1
    number: int = 0
    read_reached: Callable[[], tuple[Reached, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def stage(self) -> Stage:
        """Folds and epochs of the rung."""
        return Stage(self.folds, self.epoch)

    def reached(self) -> tuple[Reached, ...]:
        """Read all trials that have reached this rung, this one included, the best first."""
        return self.read_reached()

    def aucs(self) -> tuple[float, ...]:
        """Read the AUCs of all trials that have reached this rung, this one included, the highest first."""
        return tuple(trial.auc for trial in self.reached())


class Pruner(ABC):
    """Interface of a pruner: decide at rungs, after certain epochs of certain folds, whether a trial continues.

    A new instance is created for each report, in whichever worker holds the trial, so it must keep no state. Baselines
    and confirmations are never pruned.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec

    @abstractmethod
    def rungs(self) -> tuple[int | Stage, ...]:
        """Return where to decide: epochs of all folds together, from 1, or stages, in the order of training.

        With stages, a trial trains its first folds only until it is found to be worth the others.
        """

    @abstractmethod
    def goes_on(self, rung: Rung) -> bool:
        """Return whether the trial continues; must be deterministic, since it may be called twice for one report."""

    def passing_share(self) -> float:
        """Return the expected share of trials that pass a rung, for time estimates; 1 is conservative."""
        return 1.0

    def share_at(self, stage: Stage) -> float:  # noqa: ARG002
        """Return the expected share of trials that pass one rung, where rungs differ; `passing_share` for all."""
        return self.passing_share()

    def describe(self) -> str:
        """Describe the pruner as part of a sentence: `Search: random draws; median pruning.`"""
        return PRUNERS.entry(self.spec.search.pruner).description or self.spec.search.pruner

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages of a trial that is not pruned; all but the last end with a decision."""
        folds = self.spec.scoring.fold_count
        with PRUNERS.errors_of(self.spec.search.pruner):
            rungs = (rung if isinstance(rung, Stage) else Stage(folds, rung) for rung in self.rungs())
            return make_stages(rungs, folds, self.spec.budget.epochs)

    def decide(self, rung: Rung) -> bool:
        """Return `goes_on`.

        Raises:
            PluginError: if a plug-in's raises, or returns something else: None would prune every trial.
        """
        with PRUNERS.errors_of(self.spec.search.pruner):
            goes_on = self.goes_on(rung)
            # NumPy's are equal to Python's.
            is_answer = goes_on in (True, False)
        if not is_answer:
            raise PRUNERS.wrong(self.spec.search.pruner, f"returned {brief(goes_on)} from goes_on, not True or False")
        return bool(goes_on)

    def expected_share(self, stage: Stage) -> float:
        """Return `share_at`; raises PluginError as `decide`."""
        with PRUNERS.errors_of(self.spec.search.pruner):
            return float(self.share_at(stage))


class NoPruning(Pruner):
    """Pruner that lets every trial train all folds and epochs."""

    def rungs(self) -> tuple[Stage, ...]:
        """Return no rungs."""
        return ()

    def goes_on(self, rung: Rung) -> bool:  # noqa: ARG002
        """Return True."""
        return True


def make_pruner(spec: StudySpec) -> Pruner:
    """Return the pruner of a study.

    Raises:
        UsageError: if it is not registered.
        PluginError: if it is a plug-in's and cannot be made.
    """
    name = spec.search.pruner
    make: type[Pruner] = PRUNERS.find(name)
    with PRUNERS.errors_of(name):
        pruner = make(spec)
    if not isinstance(pruner, Pruner):
        raise PRUNERS.wrong(name, f"gave {brief(pruner)}, which is no hpo.Pruner")
    return pruner


def stages_of(spec: StudySpec, *, planned: bool) -> tuple[Stage, ...]:
    """Return the stages of a trial; those of a planned one, which is never pruned, are one: all folds side by side."""
    if planned:
        return make_stages((), spec.scoring.fold_count, spec.budget.epochs)
    return make_pruner(spec).stages()
