"""Whether fewer epochs would have said the same of the trials of a search."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, spearmanr

from hpo.training.report import EpochReport

LEAST_TRIALS = 8
"""Whole trials from which on their order is looked at."""

SHORTER = 0.75
"""Share of the epochs from which on a shorter training is not worth a sentence."""

_LOSS, _AGREEMENT = 0.005, 0.9


@dataclass(frozen=True)
class Enough:
    """A number of epochs after which trials are about where, and in the order in which, they end.

    Attributes:
        loss: AUC that they gain afterwards, on average.
        agreement: rank correlation of their AUCs then and at the end.
    """

    epochs: int
    of: int
    trials: int
    loss: float
    agreement: float

    def sentence(self) -> str:
        """Return what it means for a next study."""
        return (
            f"After {self.epochs} of {self.of} epochs the {self.trials} trials that were trained to the end were "
            f"{self.loss:.3f} below their last AUC on average, and in nearly the same order (rank correlation "
            f"{self.agreement:.2f}). A next study might do with `--set budget.epochs={self.epochs}`, and try more for "
            "the same cost; but its learning rates would fall sooner, and what learns slowly, as with strong "
            "augmentation, would lose: train the best trial that long first."
        )


def enough_epochs(curves: Sequence[Sequence[EpochReport]], epochs: int) -> Enough | None:
    """Return the fewest epochs that would do for whole trials; None if few trials are whole, or most epochs are needed.

    From there on the mean AUC stays within .005 of the last one, and the rank correlation with it at .9 or above.

    Args:
        curves: reports of trials, one an epoch.
        epochs: of a whole trial.
    """
    aucs = np.array([[report.auc for report in curve] for curve in curves if len(curve) == epochs])
    if len(aucs) < LEAST_TRIALS:
        return None
    losses = (aucs[:, -1:] - aucs).mean(axis=0)
    agreements = _rank_correlations(aucs)
    short = np.flatnonzero(~((np.abs(losses) <= _LOSS) & (agreements >= _AGREEMENT)))
    first = int(short[-1]) + 1 if short.size else 0
    if first + 1 > SHORTER * epochs:
        return None
    return Enough(first + 1, epochs, len(aucs), float(losses[first]), float(agreements[first]))


def _rank_correlations(aucs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Spearman's correlation of each epoch with the last, (epochs,); 0 where all trials are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        found = [spearmanr(after_one, aucs[:, -1]).statistic for after_one in aucs.T]
    return np.nan_to_num(np.array(found, dtype=np.float64))
