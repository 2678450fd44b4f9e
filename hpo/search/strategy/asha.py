"""Asynchronous successive halving on the mean over folds. Li et al. 2020, arXiv 1810.05934."""

from __future__ import annotations

from hpo.search.strategy.pruner import Pruner, Rung


class SuccessiveHalving(Pruner):
    """Pruner that keeps, at each rung, the best 1/reduction of the trials that have reached it so far."""

    def rungs(self) -> tuple[int, ...]:
        """Return the epochs first_rung * reduction^i below the last epoch."""
        rungs, epoch = [], self.spec.search.first_rung
        while epoch < self.spec.budget.epochs:
            rungs.append(epoch)
            epoch *= self.spec.search.reduction
        return tuple(rungs)

    def goes_on(self, rung: Rung) -> bool:
        """Return whether a trial is among the best 1/reduction at its rung."""
        reduction = self.spec.search.reduction
        # With fewer than `reduction` trials there is nothing to compare with yet.
        return rung.recorded < reduction or rung.better < rung.recorded // reduction

    def passing_share(self) -> float:
        """Return 1/reduction."""
        return 1 / self.spec.search.reduction

    def describe(self) -> str:
        """Describe the rungs and the reduction."""
        search = self.spec.search
        return (
            f"asynchronous successive halving on the mean over folds from epoch {search.first_rung}, the best "
            f"1/{search.reduction} continue"
        )
