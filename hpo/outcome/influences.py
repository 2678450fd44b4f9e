"""Read from out-of-fold scores how much each sample of the development set counts for the AUCs of a confirmation."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hpo.data.fold_scores import MOST_VALUES, FoldScores
from hpo.outcome.candidate_results import LEAST_REPEATS, Influences
from hpo.search.queries.scores import read_fold_scores
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study
from hpo.statistics.selection import fold_influences
from hpo.study.plan import Plan


def read_influences(study: Study, plan: Plan) -> Influences:
    """Read the influences of samples for each candidate and repeat that has scores for all folds, and of all samples.

    Empty where they could not be used: for hold-out, whose repeats score different samples, for too few repeats, and
    where a fold has a single sample of a class, whose influence is an upper bound: of a difference it would cancel.

    Raises:
        StorageError: if they cannot be read.
    """
    if study.spec.scoring.rows != "kfold" or study.spec.budget.trials < LEAST_REPEATS * len(plan.candidates):
        return {}
    numbers = {candidate.name: number for number, candidate in enumerate(plan.candidates)}
    scores: dict[tuple[int, int], Collection[FoldScores]] = {}
    for row in read_trials(study):
        if row.state != "complete" or row.candidate is None or row.repeat is None:
            continue
        found = read_fold_scores(study, row.number)
        if not found:
            return {}  # An older hpo trained it; one that lacks them is enough to compare by fold AUCs.
        scores[numbers[row.candidate], row.repeat - 1] = found.values()
    if not all(_are_whole(one) and _has_spread(one) for folds in scores.values() for one in folds):
        return {}
    size = max((int(one.samples.max()) + 1 for folds in scores.values() for one in folds), default=0)
    return {
        key: fold_influences([(one.samples, one.labels, one.logits) for one in folds], size)
        for key, folds in scores.items()
    }


def _are_whole(fold: FoldScores) -> bool:
    """Return whether all samples of a fold were kept: a subset would count for more than the fold does."""
    return bool(len(fold.samples) < max(MOST_VALUES // fold.labels.shape[1], 1))


def _has_spread(fold: FoldScores) -> bool:
    """Return whether every class that a label has in a fold has more than one sample."""
    positives = fold.labels.sum(axis=0, dtype=np.int64)
    return not bool((np.minimum(positives, len(fold.labels) - positives) == 1).any())
