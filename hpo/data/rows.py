"""Which development rows a trial is scored on, and which it may fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.stratify import deal
from hpo.errors import DataError
from hpo.study.spec import Scoring

_SAME_FOR_ALL_TRIALS, _OF_ONE_TRIAL = 0, 1


@dataclass(frozen=True, eq=False)
class Fold:
    """One pair of fit and scoring rows: (n,) int64 each, row numbers of a Development, sorted, disjoint."""

    fit: NDArray[np.int64]
    scoring: NDArray[np.int64]


def scoring_folds(development: Development, scoring: Scoring, trial_seed: int) -> tuple[Fold, ...]:
    """The folds on which a trial is scored; in each, fit and scoring rows together are all development rows.

    official: one fold, scored on the official validation rows. holdout: one fold, scored on a stratified share.
    kfold: k folds times repeats, the folds of one repeat consecutive. reshuffled: as holdout, drawn anew from
    `trial_seed`, which nothing else depends on. Rows with several labels are dealt a label at a time, the rarest first
    (`stratify.deal`): strata of label combinations would mostly hold one row, and the rarest label alone leaves the
    others to chance.
    Raises DataError, with the numbers, if the scoring or the fit rows of a fold lack a class (of every label).
    """
    folds = tuple(
        Fold(np.setdiff1d(np.arange(len(development)), rows), rows)
        for rows in _scoring_rows(development, scoring, trial_seed)
    )
    for number, fold in enumerate(folds):
        name = f"fold {number + 1} of {len(folds)} of {development.dataset.name} (scoring rows: {scoring.rows})"
        require_both_classes(development, fold.scoring, f"{name}, scoring rows")
        require_both_classes(development, fold.fit, f"{name}, fit rows")
    return folds


def require_both_classes(development: Development, rows: NDArray[np.int64], name: str) -> None:
    """Raise DataError, with the numbers, unless one label or more has positives and negatives among `rows`."""
    positives = development.labels[rows].sum(axis=0, dtype=np.int64)
    if not ((positives > 0) & (positives < rows.size)).any():
        counts = ", ".join(map(str, positives))
        raise DataError(f"{name}: {counts} positives among {rows.size} rows; an AUC needs both classes")


def _scoring_rows(development: Development, scoring: Scoring, trial_seed: int) -> list[NDArray[np.int64]]:
    if scoring.rows == "official":
        return [np.flatnonzero(development.is_validation)]
    if scoring.rows == "kfold":
        shares = [1 / scoring.folds] * scoring.folds
        generators = [_generator(scoring.seed, _SAME_FOR_ALL_TRIALS, repeat) for repeat in range(scoring.repeats)]
        return [rows for generator in generators for rows in deal(development.labels, shares, generator)]
    key = (_OF_ONE_TRIAL, trial_seed) if scoring.rows == "reshuffled" else (_SAME_FOR_ALL_TRIALS, 0)
    generator = _generator(scoring.seed, *key)
    return [deal(development.labels, [scoring.share, 1 - scoring.share], generator)[0]]


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
