"""`Pruner`: the interface of pruners, which decide what trials are stopped early."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from hpo.study.choices import PRUNERS
from hpo.study.spec import StudySpec


@dataclass(frozen=True)
class Rung:
    """A trial's report at a rung, compared with the reports of the study's other trials after the same epoch.

    Attributes:
        epoch: number of the epoch, from 1.
        auc: of the trial, mean over folds.
        better: number of trials with a higher AUC at this rung.
        recorded: number of trials with a report at this rung, this one included.
        read_aucs: reads the AUCs of all of them, see `aucs`.
    """

    epoch: int
    auc: float
    better: int
    recorded: int
    read_aucs: Callable[[], tuple[float, ...]] = field(default=tuple, repr=False, compare=False)

    def aucs(self) -> tuple[float, ...]:
        """Read the AUCs of all trials at this rung, this one included, the highest first."""
        return self.read_aucs()


class Pruner(ABC):
    """Interface of a pruner: decide at rungs, after certain epochs, whether a trial continues.

    A new instance is created for each report, in whichever worker holds the trial, so it must keep no state. Baselines
    and confirmations are never pruned.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec

    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Return the epochs after which to decide, from 1 and below the last epoch."""

    @abstractmethod
    def goes_on(self, rung: Rung) -> bool:
        """Return whether the trial continues; must be deterministic, since it may be called twice for one report."""

    def passing_share(self) -> float:
        """Return the expected share of trials that pass a rung, for time estimates; 1 is conservative."""
        return 1.0

    def describe(self) -> str:
        """Describe the pruner as part of a sentence: `Search: random draws; median pruning.`"""
        return PRUNERS.entry(self.spec.search.pruner).description or self.spec.search.pruner


class NoPruning(Pruner):
    """Pruner that lets every trial train all epochs."""

    def rungs(self) -> tuple[int, ...]:
        """Return no rungs."""
        return ()

    def goes_on(self, rung: Rung) -> bool:  # noqa: ARG002
        """Return True."""
        return True


def make_pruner(spec: StudySpec) -> Pruner:
    """Return the pruner of a study.

    Raises:
        UsageError: if it is not registered.
    """
    pruner: type[Pruner] = PRUNERS.find(spec.search.pruner)
    return pruner(spec)
