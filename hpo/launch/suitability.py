"""Check before a study is created that its data can train and score it, and say what speaks against them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from hpo.data.described import shown_labels
from hpo.data.description import FEW_PER_FOLD, label_warnings, pixel_warnings
from hpo.data.development import Development
from hpo.data.folds import Fold, scoring_folds
from hpo.data.resplit import resplit
from hpo.errors import DataError
from hpo.study.config import applies
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import Scoring, StudySpec

_FEWEST_FOLDS, _SHARES = 2, (0.3, 0.4, 0.5)

_SLOW = ("grouped", "importance")
"""Values of `resplit` that may have to look for near-duplicates first, which takes minutes in a large data set."""

_TRIALS = 20
"""Trials that are tried before data are refused, where each divides the samples anew."""

_AT_ONCE = 1024
"""Images that are compared at a time: a comparison takes as many bytes as they have pixels."""


def check_suitability(development: Development, spec: StudySpec) -> tuple[str, ...]:
    """Return what a user should know of the data of a study, a sentence each.

    The study of a plan, such as a confirmation, has the data of its search.

    Raises:
        DataError: with what to do, if nothing can be learned of the images, or a part of a fold lacks a class, or no
            configuration can divide the training part of a fold as it has to.
    """
    if spec.plan is not None:
        return ()
    if _are_equal(development.images):
        raise DataError(
            f"all {len(development):,} images of {development.dataset.name} (train and val) are equal, so nothing can "
            "be learned; write the file again: pixels are whole numbers from 0 to 255, and fractions between 0 and 1 "
            "that are stored as uint8 are all 0"
        )
    try:
        folds = _folds(development, spec.scoring)
    except DataError as error:
        raise DataError(f"{error}. {_cure(development, spec.scoring)}") from None
    return (*_check_resplits(development, folds[0].training, spec), *_warnings(development, spec.scoring))


def _folds(development: Development, scoring: Scoring) -> tuple[Fold, ...]:
    """Return the folds of a trial, of the first that has any: each may divide the samples anew. Raises DataError."""
    for seed in range(_TRIALS - 1 if scoring.rows == "reshuffled" else 0):
        with suppress(DataError):
            return scoring_folds(development, scoring, trial_seed=seed)
    return scoring_folds(development, scoring, trial_seed=_TRIALS - 1)


def _are_equal(images: NDArray[np.uint8]) -> bool:
    chunks = range(0, len(images), _AT_ONCE)
    return len(images) > 1 and all(bool((images[start : start + _AT_ONCE] == images[0]).all()) for start in chunks)


def _cure(development: Development, scoring: Scoring) -> str:
    """Say how few samples there are, and which other scoring they would bear."""
    positives = development.labels.sum(axis=0, dtype=np.int64)
    label = int(np.minimum(positives, len(development) - positives).argmax())
    rarer = int(2 * positives[label] <= len(development))
    chosen = development.labels[:, label] == rarer
    groups = development.groups if scoring.groups == "auto" else None
    where = (
        ""
        if groups is None
        else f" in {np.unique(groups[chosen]).size:,} groups of near-duplicates or patients, which no fold separates"
    )
    counts = f"There are {chosen.sum():,} {('negatives', 'positives')[rarer]}{where}"
    for change, other in _others(scoring):
        with suppress(DataError):
            _folds(development, other)
            return f"{counts}: add some, or ask for less: {change}"
    return f"{counts}: add some, {FEW_PER_FOLD} for each fold or more"


def _others(scoring: Scoring) -> Iterator[tuple[str, Scoring]]:
    """Yield scorings that need fewer samples, with the options that ask for them, the nearest first."""
    if scoring.rows == "kfold":
        for folds in range(scoring.folds - 1, _FEWEST_FOLDS - 1, -1):
            yield f"--set scoring.folds={folds}", scoring.model_copy(update={"folds": folds})
        return
    if scoring.rows == "official":
        yield "--set scoring.rows=kfold", scoring.model_copy(update={"rows": "kfold"})
        return
    for share in _SHARES:
        if share > scoring.share:
            yield f"--set scoring.share={share:g}", scoring.model_copy(update={"share": share})


def _check_resplits(development: Development, training: NDArray[np.int64], spec: StudySpec) -> list[str]:
    """Return which values of `resplit` the data do not bear; raise DataError if that is all of them."""
    shares = _resplit_shares(spec)
    searched = getattr(spec.space.get("resplit"), "choices", ())
    rules = [str(rule) for rule in searched] or [str(spec.config({}).resplit)]
    faults: dict[str, str] = {}
    notes: list[str] = []
    for rule in (rule for rule in rules if rule not in _SLOW):
        found = {}
        tried = shares if applies("resplit_share", {"resplit": rule}) else shares[:1]
        for share in tried:
            change = {"resplit": rule, "resplit_share": share}
            try:
                resplit(development, training, spec.config({}).model_copy(update=change), seed=0)
            except DataError as error:
                found[share] = str(error)
        if len(found) == len(tried):
            faults[rule] = next(iter(found.values()))
        elif found:
            notes += [
                f"{fault} with resplit_share = {share:g}; trials near it will fail: narrow its range"
                for share, fault in found.items()
            ]
    if len(faults) < len(rules):
        return notes + [f"{fault}; trials with it will fail: leave it out of the choices" for fault in faults.values()]
    raise DataError(f"{next(iter(faults.values()))}; add samples, or give --set fixed.resplit=none")


def _resplit_shares(spec: StudySpec) -> tuple[float, ...]:
    """Return the least and the largest `resplit_share` of a trial, or the only one."""
    entry = spec.space.get("resplit_share")
    if isinstance(entry, FloatRange):
        return entry.low, entry.high
    if isinstance(entry, Choices):
        return tuple(sorted({float(share) for share in entry.choices}))
    return (spec.config({}).resplit_share,)


def _warnings(development: Development, scoring: Scoring) -> list[str]:
    """Return what `hpo data describe` warns of in labels and pixels of a user's own file."""
    if development.dataset.own is None:
        return []
    flat = development.images.reshape(len(development), -1)
    lines = pixel_warnings(flat.min(axis=1), flat.max(axis=1))
    if scoring.rows != "official":
        are_folds = scoring.rows == "kfold"
        parts = scoring.folds if are_folds else round(1 / scoring.share)
        lines += label_warnings(development.labels, shown_labels(development.dataset), parts, are_folds=are_folds)
    return lines
