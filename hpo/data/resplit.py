"""How a trial divides its fit rows into rows that train and rows that select the epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.rows import require_both_classes
from hpo.data.stratify import deal
from hpo.errors import DataError
from hpo.study.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a Development, sorted, disjoint: (n,) int64. selection: None if all fit rows train."""

    training: NDArray[np.int64]
    selection: NDArray[np.int64] | None


def resplit(development: Development, fit: NDArray[np.int64], config: TrainConfig, seed: int) -> Split:
    """Divide the fit rows as `config.resplit` says; training and selection rows together are the fit rows.

    none: all train. holdout: a stratified `resplit_share` selects. official: official validation rows select.
    balanced: as many positives as negatives select, about `resplit_share` of the fit rows together but no more than
    half of either class. fit: (n,) row numbers.
    Raises DataError, with the numbers, if training or selection rows lack a class.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    if config.resplit == "none":
        return Split(np.sort(fit), None)
    if config.resplit == "holdout":
        shares = [config.resplit_share, 1 - config.resplit_share]
        selection = fit[deal(development.labels[fit], shares, generator)[0]]
    elif config.resplit == "official":
        selection = fit[development.is_validation[fit]]
    else:
        selection = _balanced(development, fit, config.resplit_share, generator)
    split = Split(np.setdiff1d(fit, selection), np.sort(selection))
    name = f"resplit = {config.resplit} of {development.dataset.name}"
    require_both_classes(development, np.sort(selection), f"{name}, selection rows")
    require_both_classes(development, split.training, f"{name}, training rows")
    return split


def _balanced(
    development: Development, fit: NDArray[np.int64], share: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    if development.labels.shape[1] != 1:
        name, labels = development.dataset.name, development.labels.shape[1]
        raise DataError(f"resplit = balanced needs one label; {name} has {labels}")
    is_positive = development.labels[fit, 0] == 1
    classes = [fit[is_positive], fit[~is_positive]]
    each = min(max(1, round(share * fit.size / 2)), *(rows.size // 2 for rows in classes))
    return np.concatenate([generator.choice(rows, each, replace=False) for rows in classes])
