"""Why settings do not suit each other, or the data and folds of a study."""

from __future__ import annotations

import itertools
from typing import Any

from hpo.errors import UsageError
from hpo.study.catalogue import Dataset
from hpo.study.co_training import other_datasets
from hpo.study.config import ConfigValues, TrainConfig, settings
from hpo.study.space import Space, can_apply
from hpo.study.spec import Scoring, Search, StudySpec
from hpo.study.stages import Stage

NEED_VALIDATION = ("official", "grouped")
"""Values of `resplit` that use the official validation samples."""


def problems_with(config: TrainConfig, spec: StudySpec) -> list[str]:
    """Return why a study cannot train a configuration on its data and folds, a sentence each; none if it can."""
    return problems_on(config, spec.data, spec.scoring)


def problems_on(config: TrainConfig, data: Dataset, scoring: Scoring) -> list[str]:
    """Return why a configuration cannot be trained on a dataset and folds, a sentence each; none if it can."""
    return _problems_on(data, scoring, config.active(), {})


def cross_section_problems(spec: StudySpec) -> list[str]:
    """Return what does not fit together in a study whose sections are each right, a sentence each."""
    problems = _rungs_that_do_not_grow(spec.search)
    for name in (*spec.fixed, *spec.space):
        if not can_apply(name, spec.fixed, spec.space):
            needs = " and ".join(
                f"{other} in {{{', '.join(map(str, legal))}}}" for other, legal in settings()[name].when
            )
            problems.append(f"{name} has no effect in this study: it requires {needs}")
    return problems + _problems_on(spec.data, spec.scoring, spec.fixed, spec.space)


def _problems_on(data: Dataset, scoring: Scoring, fixed: ConfigValues, space: Space) -> list[str]:
    """Return why settings do not suit data and folds, a sentence each."""
    problems = []
    resplits = _values("resplit", fixed, space)
    if data.labels > 1 and "fixed_share" in _values("batching", fixed, space):
        problems.append(f"batching = fixed_share requires one label; {data.name} has {data.labels}")
    if data.labels > 1 and "balanced" in resplits:
        problems.append(f"resplit = balanced requires one label; {data.name} has {data.labels}")
    for value in _values("co_training", fixed, space):
        try:
            other_datasets(value, data)
        except UsageError as error:
            problems.append(str(error))
    if not data.has_validation:
        problems += _problems_without_validation(data, scoring, resplits)
    for rule in NEED_VALIDATION:
        if scoring.rows == "official" and rule in resplits:
            problems.append(
                f"resplit = {rule} requires official validation samples in the training part of the folds, but "
                "[scoring] rows = official validates on all of them"
            )
    return problems


def _problems_without_validation(data: Dataset, scoring: Scoring, resplits: tuple[Any, ...]) -> list[str]:
    why = f"official validation samples, but {data.official_name} has no val_images"
    problems = [
        f"resplit = {rule} requires {why}; leave it out of the choices" for rule in NEED_VALIDATION if rule in resplits
    ]
    if scoring.rows == "official":
        problems.append(f"[scoring] rows = official requires {why}; use kfold or holdout, which draw them")
    return problems


def _rungs_that_do_not_grow(search: Search) -> list[str]:
    rungs = () if isinstance(search.rungs, str) else search.rungs
    return [
        f"[search] rungs: {Stage(rung.folds, rung.epochs)} cannot follow {Stage(before.folds, before.epochs)}; give "
        "them in the order of training, each with more folds or epochs than the one before and no fewer of the other"
        for before, rung in itertools.pairwise(rungs)
        if rung.folds < before.folds
        or rung.epochs < before.epochs
        or (rung.folds, rung.epochs) == (before.folds, before.epochs)
    ]


def _values(name: str, fixed: ConfigValues, space: Space) -> tuple[Any, ...]:
    if name in fixed:
        return (fixed[name],)
    return tuple(getattr(space.get(name), "choices", ()))
