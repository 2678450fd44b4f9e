"""What the trials of a confirmation have yielded, and how two of its candidates compare."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.study import Study
from hpo.statistics.estimate import CONFIDENCE, Comparison, Estimate
from hpo.statistics.moderated import Moderation
from hpo.statistics.resampled import corrected_difference, corrected_mean
from hpo.study.spec import Scoring

Results = Mapping[tuple[int, int], tuple[float, ...] | None]
"""(candidate, repeat), both from 0, to the AUC of each fold after the last epoch; None where the trial failed. Trials
that have not ended, or were dropped, are missing."""

_trials, _reports = schema.trials.c, schema.reports.c


def read_results(connection: Connection, study: Study) -> Results:
    """The results of a confirmation so far. The study must have a plan."""
    plan = study.spec.plan
    assert plan is not None, study.name
    last = (
        (_reports.study_id == _trials.study_id)
        & (_reports.trial_number == _trials.trial_number)
        & (_reports.epoch == _trials.epoch)
    )
    query = (
        sa.select(_trials.place, _trials.outcome, _reports.fold_aucs)
        .select_from(schema.trials.outerjoin(schema.reports, last))
        .where(_trials.study_id == study.study_id, _trials.outcome.in_(("complete", "failed")))
    )
    return {
        plan.at(row.place): tuple(json.loads(row.fold_aucs)) if row.outcome == "complete" else None
        for row in connection.execute(query)
    }


def rows_of(results: Results, candidate: int, repeats: Iterable[int]) -> list[tuple[float, ...]] | None:
    """The fold AUCs of a candidate in these repeats, all of which have ended; None if one of them failed."""
    rows = []
    for repeat in repeats:
        row = results[candidate, repeat]
        if row is None:
            return None
        rows.append(row)
    return rows


def mean_over(values: Sequence[Sequence[float]], scoring: Scoring) -> Estimate | None:
    """Mean AUC over repeats and folds, with its interval; None if there is but one value, which shows no spread.

    values: one row of fold AUCs for each repeat. See `difference_over`.
    """
    array = np.array(values)
    if array.size < 2:
        return None
    return corrected_mean(array, scored_to_fit=_scored_to_fit(scoring))


def difference_over(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    scoring: Scoring,
    confidence: float = CONFIDENCE,
    usual: Moderation | None = None,
) -> Comparison | None:
    """Mean paired difference (first minus second) with its interval, by the corrected resampled t-test.

    first, second: one row of fold AUCs for each repeat, the same repeats in both. None if there is but one value.
    With one division for each repeat, the part of the variance that comes from shared training rows follows from the
    share that is scored on. With official rows nothing but the seeds varies: the interval then holds for those rows.
    usual: what the differences of all candidates moderate the variance with, see `hpo.statistics.moderated`.
    Source: Nadeau and Bengio 2003, Machine Learning 52:239.
    """
    differences = np.array(first) - np.array(second)
    if differences.size < 2:
        return None
    return corrected_difference(differences, confidence, _scored_to_fit(scoring), usual)


def _scored_to_fit(scoring: Scoring) -> float:
    """Scored rows over fit rows of a training; 0 for official rows, which never change."""
    if scoring.rows == "official":
        return 0.0
    return 1 / (scoring.folds - 1) if scoring.rows == "kfold" else scoring.share / (1 - scoring.share)
