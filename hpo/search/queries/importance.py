"""Importance of settings: the share of the variance between trials that each searched setting explains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpo.search.strategy.sampler import distribution, nearest
from hpo.study.config import ConfigValues, SettingValue, settings
from hpo.study.space import Choices, Range
from hpo.study.spec import StudySpec

if TYPE_CHECKING:
    from optuna import Study

LEAST_TRIALS = 8

MOST_TRIALS = 300
"""Number of trials, drawn at random, that importances are estimated from: Optuna's evaluator is written in Python, and
its time grows faster than the number of leaves."""


@dataclass(frozen=True)
class _Forest:
    trees: int
    depth: int


_FOREST, _FOREST_OF_MANY = _Forest(32, 16), _Forest(16, 7)
"""For up to MOST_TRIALS trials, and for a sample of more."""


@dataclass(frozen=True)
class Importance:
    """Importance of one setting.

    Attributes:
        share: of the variance of AUC over the space, 0 to 1.
        standard_error: over the sampling of trials.
    """

    setting: str
    share: float
    standard_error: float


def importances(
    spec: StudySpec, configs: Sequence[ConfigValues], values: Sequence[float], halves: int = 10, seed: int = 0
) -> list[Importance]:
    """Estimate the importance of each searched setting by functional ANOVA of a random forest, largest first.

    Args:
        configs: complete configurations, one per value. An inactive setting counts at its default, clipped to its
            range.
        values: (N,) AUCs.
        halves: number of random halves of the trials for the standard errors.

    Returns:
        Empty if there are fewer than LEAST_TRIALS values, all are equal, or nothing is searched.

    Source: Hutter, Hoos and Leyton-Brown 2014; Optuna's FanovaImportanceEvaluator.
    """
    # Standard errors by a delete-half jackknife (Shao and Wu 1989). A bootstrap, which repeats trials, would make the
    # forest fit noise.
    searched = [name for name, entry in spec.space.items() if _width(entry) > 1]
    if len(values) < LEAST_TRIALS or np.ptp(values) == 0 or not searched:
        return []
    random = np.random.default_rng(seed)
    forest = _FOREST
    if len(values) > MOST_TRIALS:
        kept = random.permutation(len(values))[:MOST_TRIALS]
        configs, values, forest = [configs[row] for row in kept], [values[row] for row in kept], _FOREST_OF_MANY
        if np.ptp(values) == 0:
            return []
    points = [{name: _inside(spec.space[name], name, config) for name in searched} for config in configs]
    shares = _shares(spec, searched, points, list(values), seed, forest)
    drawn = []
    for number in range(halves):
        rows = random.permutation(len(values))[: len(values) // 2]
        half = [values[row] for row in rows]
        if np.ptp(half) > 0:
            drawn.append(_shares(spec, searched, [points[row] for row in rows], half, seed + number + 1, forest))
    estimates = [
        Importance(name, float(shares[name]), float(np.std([half[name] for half in drawn], ddof=1)))
        for name in searched
    ]
    return sorted(estimates, key=lambda importance: -importance.share)


def _shares(
    spec: StudySpec, searched: list[str], points: list[ConfigValues], values: list[float], seed: int, forest: _Forest
) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    ranges = {name: distribution(spec.space[name]) for name in searched}
    study = _silent_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for point, value in zip(points, values, strict=True):
            study.add_trial(create_trial(params=point, distributions=ranges, value=value))
        evaluator = FanovaImportanceEvaluator(n_trees=forest.trees, max_depth=forest.depth, seed=seed)
        return get_param_importances(study, evaluator=evaluator, params=searched)


def _silent_study() -> Study:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
    finally:
        optuna.logging.set_verbosity(level)


def _width(entry: Range) -> int:
    if isinstance(entry, Choices):
        return len(entry.choices)
    return 1 if entry.low == entry.high else 2


def _inside(entry: Range, name: str, config: ConfigValues) -> SettingValue:
    value = nearest(entry, config.get(name, settings()[name].default))
    if value is not None:
        return value
    assert isinstance(entry, Choices), name
    return entry.choices[0]
