"""Results of a confirmation's repeats, and racing: candidates clearly worse than the leader are trained no further.

In the way of Maron and Moore 1994 and of F-race (Birattari et al. 2002), with an interval that knows that folds share
their training samples. A decision follows from the results of whole repeats alone, so every worker decides the same,
however many there are and whenever they look.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.database import schema
from hpo.search.study import Study
from hpo.statistics.corrected_t_test import corrected_difference, corrected_mean
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate
from hpo.statistics.moderated_variance import VariancePrior
from hpo.study.plan import Plan
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
    return corrected_mean(array, test_train_ratio=_scored_to_fit(scoring))


def difference_over(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    scoring: Scoring,
    confidence: float = CONFIDENCE,
    usual: VariancePrior | None = None,
) -> Comparison | None:
    """Mean paired difference (first minus second) with its interval, by the corrected resampled t-test.

    first, second: one row of fold AUCs for each repeat, the same repeats in both. None if there is but one value.
    With one division for each repeat, the part of the variance that comes from shared training rows follows from the
    share that is scored on. With official rows nothing but the seeds varies: the interval then holds for those rows.
    usual: what the differences of all candidates moderate the variance with, see `hpo.statistics.moderated_variance`.
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


FIRST_DECISION = 1
"""The repeat, from 0, after which a candidate can first be dropped."""


@dataclass(frozen=True)
class Elimination:
    """A candidate that is trained no further. repeat: the last that it took part in, from 0; reason: for a reader."""

    repeat: int
    reason: str


def race(plan: Plan, results: Results, scoring: Scoring) -> dict[int, Elimination]:
    """The candidates, by number, that have left the race; none if racing is off, and never a reference.

    A repeat is whole once every candidate that is still in the race has ended it. The leader is the candidate with the
    best mean so far among those that finished all; it may be a reference. A candidate that failed can no longer win,
    and leaves too.
    """
    exits: dict[int, Elimination] = {}
    if plan.racing_level == 0:
        return exits
    racing, repeat = list(range(len(plan.candidates))), 0
    while _goes_on(plan, racing) and all((candidate, repeat) in results for candidate in racing):
        exits |= _failed(plan, results, racing, repeat)
        racing = [candidate for candidate in racing if candidate not in exits]
        if repeat >= FIRST_DECISION:
            exits |= _clearly_worse(plan, results, scoring, racing, repeat)
            racing = [candidate for candidate in racing if candidate not in exits]
        repeat += 1
    return exits


def _goes_on(plan: Plan, racing: list[int]) -> bool:
    return any(not plan.candidates[candidate].is_reference for candidate in racing)


def _failed(plan: Plan, results: Results, racing: list[int], repeat: int) -> dict[int, Elimination]:
    reason = f"dropped by racing: it failed in repeat {repeat + 1}, and the winner must finish every one"
    return {
        candidate: Elimination(repeat, reason)
        for candidate in racing
        if results[candidate, repeat] is None and not plan.candidates[candidate].is_reference
    }


def _clearly_worse(
    plan: Plan, results: Results, scoring: Scoring, racing: list[int], repeat: int
) -> dict[int, Elimination]:
    finished = {
        candidate: rows for candidate in racing if (rows := rows_of(results, candidate, range(repeat + 1))) is not None
    }
    if not finished:
        return {}
    leader = max(finished, key=lambda candidate: sum(map(sum, finished[candidate])))
    confidence = 1 - plan.racing_level
    exits = {}
    for candidate, rows in finished.items():
        if plan.candidates[candidate].is_reference or candidate == leader:
            continue
        found = difference_over(rows, finished[leader], scoring, confidence)
        if found is not None and found.high < 0:
            reason = (
                f"dropped by racing after repeat {repeat + 1}: its difference to {plan.candidates[leader].name} is "
                f"{found.difference:+.3f}, {100 * confidence:g} % interval [{found.low:+.3f}, {found.high:+.3f}]"
            )
            exits[candidate] = Elimination(repeat, reason)
    return exits
