"""Count what near-duplicates and groups there are in a development set, and what they would do to folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.duplicates import Pairs, Progress, near_duplicates, unseen
from hpo.data.folds import scoring_folds, separated
from hpo.data.groups import group_pairs, members
from hpo.errors import DataError
from hpo.study.spec import Scoring

_LEVELS = (1.0, 0.999, 0.99, 0.95)
_DEALS = 10


@dataclass(frozen=True)
class Level:
    """Number of pairs of at least this correlation; at 1 of exact duplicates.

    Attributes:
        label_conflicts: pairs that differ in a label.
    """

    correlation: float
    pairs: int
    label_conflicts: int


@dataclass(frozen=True)
class SampleGroup:
    """Samples of one group of near-duplicates.

    Attributes:
        samples: `train 12` or `val 3`, numbered as in the file.
        labels: of each sample, `1`, or `0 1 0` for several labels.
        lowest, highest: correlations of its pairs.
    """

    samples: tuple[str, ...]
    labels: tuple[str, ...]
    lowest: float
    highest: float


@dataclass(frozen=True)
class Survey:
    """What a development set has of near-duplicates.

    Attributes:
        threshold: correlation from which pairs are counted.
        complete_from: higher than `threshold` if there were too many pairs to keep them all.
        within_train, within_val, across: pairs.
        grouped_from: correlation from which pairs form groups; higher than `threshold` if large groups would arise.
        groups: groups of at least two samples, the largest first.
        samples_in_groups: samples in them.
        official_crossings: validation samples that have one of their group in train.
        fold_crossings: share of validation samples that have one of their group in the training part, mean over ten
            deals of five folds that keep no groups; None if a class has too few samples for five folds.
        grouped_fold_crossings: the same for folds that keep groups.
    """

    dataset: str
    samples: int
    threshold: float
    complete_from: float
    levels: tuple[Level, ...]
    within_train: int
    within_val: int
    across: int
    grouped_from: float
    groups: tuple[SampleGroup, ...]
    samples_in_groups: int
    official_crossings: int
    fold_crossings: float | None
    grouped_fold_crossings: float | None


def survey(development: Development, threshold: float, progress: Progress = unseen) -> tuple[Survey, Pairs]:
    """Find the near-duplicates of a development set; return what there is, and the pairs by falling correlation."""
    pairs = near_duplicates(development.images, threshold, progress).ordered()
    groups, grouped_from = group_pairs(pairs, len(development))
    grouped = replace(development, groups=groups)
    is_validation = development.is_validation
    number_of_validation = is_validation[pairs.first].astype(int) + is_validation[pairs.second]
    within_train, across, within_val = (int((number_of_validation == many).sum()) for many in range(3))
    levels = sorted({*(level for level in _LEVELS if level > pairs.threshold), pairs.threshold}, reverse=True)
    found = tuple(_sample_groups(grouped, groups, pairs.above(grouped_from)))
    counts = Survey(
        dataset=development.dataset.name,
        samples=len(development),
        threshold=threshold,
        complete_from=pairs.threshold,
        levels=tuple(_level(development, pairs.above(level), level) for level in levels),
        within_train=within_train,
        within_val=within_val,
        across=across,
        grouped_from=grouped_from,
        groups=found,
        samples_in_groups=sum(len(group.samples) for group in found),
        official_crossings=separated(groups, np.flatnonzero(is_validation), np.flatnonzero(~is_validation)),
        fold_crossings=_fold_crossings(grouped, Scoring(groups="none")),
        grouped_fold_crossings=_fold_crossings(grouped, Scoring(groups="auto")),
    )
    return counts, pairs


def conflicts(development: Development, pairs: Pairs) -> NDArray[np.bool_]:
    """Return for each pair whether the two differ in a label."""
    return np.asarray((development.labels[pairs.first] != development.labels[pairs.second]).any(axis=1))


def sample_name(development: Development, sample: int) -> str:
    """Return `train 12` or `val 3`: the split of a sample and its number there, from 0."""
    first = int(development.is_validation.argmax())
    return f"val {sample - first}" if development.is_validation[sample] else f"train {sample}"


def label_text(development: Development, sample: int) -> str:
    """Return the labels of a sample, `1` or `0 1 0`."""
    return " ".join(map(str, development.labels[sample]))


def _level(development: Development, pairs: Pairs, level: float) -> Level:
    return Level(level, len(pairs), int(conflicts(development, pairs).sum()))


def _sample_groups(development: Development, groups: NDArray[np.int64], pairs: Pairs) -> list[SampleGroup]:
    group_of_pair = groups[pairs.first]
    lowest, highest = np.full(len(groups), np.inf), np.zeros(len(groups))
    np.minimum.at(lowest, group_of_pair, pairs.correlation)
    np.maximum.at(highest, group_of_pair, pairs.correlation)
    return [
        SampleGroup(
            tuple(sample_name(development, int(sample)) for sample in samples),
            tuple(label_text(development, int(sample)) for sample in samples),
            float(lowest[groups[samples[0]]]),
            float(highest[groups[samples[0]]]),
        )
        for samples in members(groups)
    ]


def _fold_crossings(development: Development, scoring: Scoring) -> float | None:
    crossing = total = 0
    try:
        for seed in range(_DEALS):
            for fold in scoring_folds(development, scoring.model_copy(update={"seed": seed}), 0):
                crossing += separated(development.groups, fold.validation, fold.training)
                total += fold.validation.size
    except DataError:
        # A fold without both classes: there are no five folds of so few samples.
        return None
    return crossing / total
