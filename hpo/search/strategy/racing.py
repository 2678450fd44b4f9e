"""Results of a confirmation, and racing: candidates that are clearly worse than the leader are eliminated.

Like Maron and Moore 1994 and F-race (Birattari et al. 2002), but with a confidence interval that accounts for training
samples shared between folds. Decisions depend only on the results of complete repeats, so all workers come to the same
ones, whatever their number and timing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.study import Study, fold_aucs
from hpo.statistics.corrected_t_test import corrected_difference, corrected_mean
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate
from hpo.statistics.moderated_variance import VariancePrior
from hpo.study.baselines import shown_name
from hpo.study.choices import loss_family
from hpo.study.plan import Plan
from hpo.study.spec import Scoring

Results = Mapping[tuple[int, int], tuple[float, ...] | None]
"""Maps (candidate, repeat), both from 0, to the AUC of each fold after the last epoch, or to None if the trial failed.
Trials that are unfinished or were eliminated are missing."""

_trials, _reports = schema.trials.c, schema.reports.c


def read_results(connection: Connection, study: Study) -> Results:
    """Read the results of a confirmation so far.

    Raises:
        StorageError: if a complete trial has lost the report of its last epoch.
    """
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
    results: dict[tuple[int, int], tuple[float, ...] | None] = {}
    for row in connection.execute(query):
        slot = f"slot {row.place} of study {study.name}"
        found = fold_aucs(row.fold_aucs or "[]", slot) if row.outcome == "complete" else None
        if found == ():
            raise StorageError(f"{slot} is complete, and the report of its last epoch is not there")
        results[plan.at(row.place)] = found
    return results


def rows_of(results: Results, candidate: int, repeats: Iterable[int]) -> list[tuple[float, ...]] | None:
    """Return the fold AUCs of a candidate in finished repeats, one row per repeat; None if one of them failed."""
    rows = []
    for repeat in repeats:
        row = results[candidate, repeat]
        if row is None:
            return None
        rows.append(row)
    return rows


def mean_over(values: Sequence[Sequence[float]], scoring: Scoring) -> Estimate | None:
    """Estimate the mean AUC over repeats and folds with its confidence interval, as `difference_over` does.

    Args:
        values: (repeats, folds) AUCs.

    Returns:
        None if there is only one value, which has no spread.
    """
    array = np.array(values)
    if array.size < 2:
        return None
    return corrected_mean(array, test_train_ratio=_validation_to_training(scoring))


def difference_over(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    scoring: Scoring,
    confidence: float = CONFIDENCE,
    prior: VariancePrior | None = None,
) -> Comparison | None:
    """Estimate the mean paired difference (first minus second) with its interval, by the corrected resampled t-test.

    The correction for shared training samples depends on the share of validation samples. With official validation
    samples only the seeds vary; the interval then holds for these samples only.

    Args:
        first: (repeats, folds) AUCs.
        second: (repeats, folds) AUCs of the same repeats.
        prior: of the variance, from the differences of all candidates, see `hpo.statistics.moderated_variance`.

    Returns:
        None if there is only one value.

    Source: Nadeau and Bengio 2003, Machine Learning 52:239.
    """
    differences = np.array(first) - np.array(second)
    if differences.size < 2:
        return None
    return corrected_difference(differences, confidence, _validation_to_training(scoring), prior)


def _validation_to_training(scoring: Scoring) -> float:
    """Return the ratio of validation to training samples of a fold; 0 for the fixed official samples."""
    if scoring.rows == "official":
        return 0.0
    return 1 / (scoring.folds - 1) if scoring.rows == "kfold" else scoring.share / (1 - scoring.share)


FIRST_DECISION = 1
"""The first repeat, from 0, after which a candidate can be eliminated."""


@dataclass(frozen=True)
class Elimination:
    """The elimination of a candidate.

    Attributes:
        repeat: the last repeat in which it was trained, from 0.
        reason: for the user.
    """

    repeat: int
    reason: str


def race(plan: Plan, results: Results, scoring: Scoring) -> dict[int, Elimination]:
    """Return the eliminated candidates by number; none if racing is off, and never a baseline.

    If the plan has the best of each loss family, the best of a family is not eliminated by another: the families are to
    be compared over all repeats.

    A repeat is complete once all remaining candidates have finished it. The leader is the candidate with the highest
    mean so far among those that finished every repeat; it may be a baseline. A candidate that failed cannot win any
    more and is eliminated too.
    """
    eliminated: dict[int, Elimination] = {}
    if plan.racing_level == 0:
        return eliminated
    racing, repeat = list(range(len(plan.candidates))), 0
    while _goes_on(plan, racing) and all((candidate, repeat) in results for candidate in racing):
        eliminated |= _failed(plan, results, racing, repeat)
        racing = [candidate for candidate in racing if candidate not in eliminated]
        if repeat >= FIRST_DECISION:
            eliminated |= _clearly_worse(plan, results, scoring, racing, repeat)
            racing = [candidate for candidate in racing if candidate not in eliminated]
        repeat += 1
    return eliminated


def _goes_on(plan: Plan, racing: list[int]) -> bool:
    return any(not plan.candidates[candidate].is_reference for candidate in racing)


def _failed(plan: Plan, results: Results, racing: list[int], repeat: int) -> dict[int, Elimination]:
    reason = f"dropped by racing: it failed in repeat {repeat + 1}, but the winner must finish all repeats"
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
    eliminated = {}
    spared = {leader, *_family_leaders(plan, finished)}
    for candidate, rows in finished.items():
        if plan.candidates[candidate].is_reference or candidate in spared:
            continue
        comparison = difference_over(rows, finished[leader], scoring, confidence)
        if comparison is not None and comparison.high < 0:
            name = shown_name(plan.candidates[leader].name)
            reason = (
                f"dropped by racing after repeat {repeat + 1}: its difference to {name} is "
                f"{comparison.difference:+.3f}, {100 * confidence:g} % confidence interval "
                f"[{comparison.low:+.3f}, {comparison.high:+.3f}]"
            )
            eliminated[candidate] = Elimination(repeat, reason)
    return eliminated


def _family_leaders(plan: Plan, finished: Mapping[int, list[tuple[float, ...]]]) -> Iterable[int]:
    """Return the leader of each loss family besides baselines; none if the plan does not compare families."""
    leaders: dict[str, int] = {}
    for candidate in sorted(finished, key=lambda one: -sum(map(sum, finished[one]))):
        if plan.per_family and not plan.candidates[candidate].is_reference:
            leaders.setdefault(loss_family(plan.candidates[candidate].config.loss), candidate)
    return leaders.values()
