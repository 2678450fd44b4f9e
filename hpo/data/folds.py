"""Folds: which samples of the development set train a trial, and which validate it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.stratify import stratified_split
from hpo.errors import DataError
from hpo.study.spec import Scoring

_SAME_FOR_ALL_TRIALS, _OF_ONE_TRIAL = 0, 1


@dataclass(frozen=True, eq=False)
class Fold:
    """Training part and validation part: (n,) int64 each, sorted disjoint indices of samples."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]


def scoring_folds(development: Development, scoring: Scoring, trial_seed: int) -> tuple[Fold, ...]:
    """Return the folds on which a trial is scored; the two parts of each fold make up the development set.

    - official: one fold, validated on the official validation samples.
    - holdout: one fold, validated on a stratified share.
    - kfold: k folds times repeats, the folds of one repeat consecutive.
    - reshuffled: as holdout, but drawn for each trial.

    Parts that are drawn keep the groups of the development set whole, unless `scoring.groups` is none.

    Args:
        trial_seed: seed of the split; used by `reshuffled` only.

    Raises:
        DataError: with the counts, if a part of a fold has both classes for no label.
    """
    folds = tuple(
        Fold(np.setdiff1d(np.arange(len(development)), validation), validation)
        for validation in _validation_parts(development, scoring, trial_seed)
    )
    for number, fold in enumerate(folds):
        name = f"fold {number + 1} of {len(folds)} of {development.dataset.name} (scoring: {scoring.rows})"
        require_both_classes(development, fold.validation, f"{name}, validation part")
        require_both_classes(development, fold.training, f"{name}, training part")
    return folds


def separated(groups: NDArray[np.int64] | None, validation: NDArray[np.int64], training: NDArray[np.int64]) -> int:
    """Return how many validation samples have another sample of their group in the training part."""
    return 0 if groups is None else int(np.isin(groups[validation], groups[training]).sum())


def official_crossings(development: Development, scoring: Scoring) -> str:
    """Say how many official validation samples have one of their group in training; "" if there are none.

    Parts that are drawn keep groups whole; the official ones are what they are.
    """
    if scoring.rows != "official":
        return ""
    validation, training = (np.flatnonzero(development.is_validation == is_one) for is_one in (True, False))
    crossing = separated(development.groups, validation, training)
    return (
        f"{crossing} of the {validation.size} official validation samples of {development.dataset.name} have a "
        "near-duplicate, or another sample of their group, among the training samples: their AUC is optimistic"
        if crossing
        else ""
    )


def require_both_classes(development: Development, samples: NDArray[np.int64], name: str) -> None:
    """Check that at least one label has both positives and negatives among `samples`.

    Raises:
        DataError: with the counts, if none has.
    """
    positives = development.labels[samples].sum(axis=0, dtype=np.int64)
    if not ((positives > 0) & (positives < samples.size)).any():
        counts = ", ".join(map(str, positives))
        raise DataError(f"{name}: {counts} positives among {samples.size} samples; an AUC needs both classes")


def _validation_parts(development: Development, scoring: Scoring, trial_seed: int) -> list[NDArray[np.int64]]:
    if scoring.rows == "official":
        return [np.flatnonzero(development.is_validation)]
    # Multi-label samples are stratified label by label, see `stratified_split`: strata of label combinations would
    # mostly hold one sample, and stratifying by the rarest label alone leaves the others to chance.
    groups = development.groups if scoring.groups == "auto" else None
    if scoring.rows == "kfold":
        shares = [1 / scoring.folds] * scoring.folds
        generators = [_generator(scoring.seed, _SAME_FOR_ALL_TRIALS, repeat) for repeat in range(scoring.repeats)]
        return [
            part for generator in generators for part in stratified_split(development.labels, shares, generator, groups)
        ]
    key = (_OF_ONE_TRIAL, trial_seed) if scoring.rows == "reshuffled" else (_SAME_FOR_ALL_TRIALS, 0)
    generator = _generator(scoring.seed, *key)
    return [stratified_split(development.labels, [scoring.share, 1 - scoring.share], generator, groups)[0]]


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
