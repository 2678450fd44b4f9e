"""`Pruner`: the interface of what decides which trials are stopped early."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from hpo.study.choices import PRUNERS
from hpo.study.spec import StudySpec


@dataclass(frozen=True)
class Rung:
    """What a pruner knows where it decides about a trial: the reports of the study's trials after the same epoch.

    Attributes:
        epoch: after which the trials are compared, from 1.
        auc: of the trial that is decided about, the mean over folds.
        better: number of trials with a higher AUC there.
        recorded: number of trials with a report there, this one included.
    """

    epoch: int
    auc: float
    better: int
    recorded: int
    read_aucs: Callable[[], tuple[float, ...]] = field(default=tuple, repr=False, compare=False)

    def aucs(self) -> tuple[float, ...]:
        """Return the AUCs of all trials there, this one included, the highest first; read when it is asked for."""
        return self.read_aucs()


class Pruner(ABC):
    """Decides at rungs, which are numbers of epochs, whether a trial goes on.

    Made anew from the spec for each report, in whichever worker holds the trial, so it keeps no state. References and
    confirmations are never pruned.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec

    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Return the epochs, from 1 and below the last, after which a decision is made."""

    @abstractmethod
    def goes_on(self, rung: Rung) -> bool:
        """Return whether the trial goes on; may be asked twice for the same report, and must answer the same."""

    def passing_share(self) -> float:
        """Return the share of trials that pass a rung, for estimates of time; 1 errs to the long side."""
        return 1.0

    def describe(self) -> str:
        """Return what it does as part of a sentence: `Search: random draws; median pruning.`"""
        return PRUNERS.entry(self.spec.search.pruner).description or self.spec.search.pruner


class NoPruning(Pruner):
    """Lets every trial train all of its epochs."""

    def rungs(self) -> tuple[int, ...]:
        """Return no epochs."""
        return ()

    def goes_on(self, rung: Rung) -> bool:  # noqa: ARG002
        """Return True."""
        return True


def make_pruner(spec: StudySpec) -> Pruner:
    """Return the pruner of a study. Raises UsageError if it is not registered here."""
    pruner: type[Pruner] = PRUNERS.find(spec.search.pruner)
    return pruner(spec)
