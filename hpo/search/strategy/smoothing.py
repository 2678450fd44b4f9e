"""Smooth the AUCs of complete trials over similar configurations, to tell good trials from lucky ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.search.strategy.common_rung import RUNG_AUCS
from hpo.search.strategy.encoding import Encoding
from hpo.search.strategy.surrogate import Surrogate, observe
from hpo.study.stages import Stage

LEAST = 12
"""Least number of trials with an AUC at some rung from which AUCs are smoothed; as many as samplers wait for."""


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Smoothed AUCs of complete trials.

    Attributes:
        numbers: of these trials, K of them.
        values: (K,) smoothed AUCs.
        derivatives: (K, K) of the smoothed AUCs by the trials' own AUCs.
    """

    numbers: tuple[int, ...]
    values: NDArray[np.float64]
    derivatives: NDArray[np.float64]

    @property
    def aucs(self) -> dict[int, float]:
        """Smoothed AUC by number of the trial."""
        return dict(zip(self.numbers, self.values.tolist(), strict=True))


def smooth(
    space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial], stages: Sequence[Stage]
) -> Smoothed | None:
    """Smooth the AUCs of the complete ones of a study's trials.

    Args:
        space: distributions of the searched settings.
        trials: of all states, with the attribute RUNG_AUCS; those without it and those that failed say nothing.
        stages: of a trial.

    Returns:
        None if fewer than LEAST trials say something, or none is complete.
    """
    known = [trial for trial in trials if trial.state != TrialState.FAIL and trial.system_attrs.get(RUNG_AUCS)]
    complete = [place for place, trial in enumerate(known) if trial.state == TrialState.COMPLETE]
    if len(known) < LEAST or not complete:
        return None
    encoding = Encoding(space)
    points = encoding.encode([trial.params for trial in known])
    seen = observe(points, [trial.system_attrs[RUNG_AUCS] for trial in known], [stage.folds for stage in stages])
    derivatives, values = Surrogate(encoding, seen).smoother(points[complete])
    own = np.zeros((len(complete), len(complete)))
    for column, place in enumerate(complete):
        at = np.flatnonzero((seen.trials == place) & (seen.rungs == len(stages) - 1))
        own[:, column] = derivatives[:, at].sum(axis=1)
    return Smoothed(tuple(known[place].number for place in complete), values, own)
