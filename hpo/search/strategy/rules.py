"""Pruners beside successive halving: the median rule, and a paired test over folds."""

from __future__ import annotations

from statistics import median

from hpo.search.strategy.asha import rungs_of
from hpo.search.strategy.pruner import Pruner, Reached, Rung
from hpo.study.stages import Stage

_LEAST = 5
"""Number of trials at a rung from which on the median says something."""

_LEVEL = 0.1
"""Level of the test over folds; as in Optuna's WilcoxonPruner."""


class Median(Pruner):
    """Pruner that stops what is below the median of the trials that have reached the same rung.

    Golovin et al. 2017, Google Vizier, section 3.2.
    """

    def rungs(self) -> tuple[Stage, ...]:
        """Return the rungs of the study file."""
        return tuple(rungs_of(self.spec))

    def goes_on(self, rung: Rung) -> bool:
        """Return whether a trial is not below the median."""
        return rung.recorded < _LEAST or rung.auc >= median(rung.aucs())

    def passing_share(self) -> float:
        """Return one half."""
        return 0.5


class Wilcoxon(Pruner):
    """Pruner that trains fold after fold to the end, and stops a trial that is clearly worse than the best on the same.

    The difference to the best trial at the rung is tested by Wilcoxon's signed-rank test over folds, one-sided at .1,
    from four folds on (with three, the smallest p-value is .125).
    """

    def rungs(self) -> tuple[Stage, ...]:
        """Return the end of each fold from the fourth on."""
        return tuple(Stage(folds, self.spec.budget.epochs) for folds in range(4, self.spec.scoring.fold_count))

    def goes_on(self, rung: Rung) -> bool:
        """Return whether a trial is not significantly worse than the best at its rung."""
        reached = rung.reached()
        if not reached:
            return True
        best, own = reached[0], next(trial for trial in reached if trial.number == rung.number)
        return not _is_worse(own, best)

    def describe(self) -> str:
        """Describe the test."""
        if self.spec.scoring.fold_count < 5:
            return "no pruning: a paired test over folds needs at least 5 folds"
        return f"a paired test over folds (Wilcoxon, {_LEVEL:g}) against the best trial, from the fourth fold on"


def _is_worse(own: Reached, best: Reached) -> bool:
    from scipy.stats import wilcoxon

    differences = [mine - other for mine, other in zip(own.fold_aucs, best.fold_aucs, strict=True)]
    if not any(differences):
        return False
    return bool(wilcoxon(differences, alternative="less").pvalue < _LEVEL)
