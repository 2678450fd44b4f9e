"""Racing: candidates of a confirmation that are clearly worse than the leader are trained no further.

In the way of Maron and Moore 1994 and of F-race (Birattari et al. 2002), with an interval that knows that folds share
their training rows. What is decided follows from the results of whole repeats alone, so every worker that looks
decides the same, however many there are and whenever they look.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpo.search.strategy.repeats import Results, difference_over, rows_of
from hpo.study.plan import Plan
from hpo.study.spec import Scoring

FIRST_DECISION = 1
"""The repeat, from 0, after which a candidate can first be dropped."""


@dataclass(frozen=True)
class Exit:
    """A candidate that is trained no further. repeat: the last that it took part in, from 0; reason: for a reader."""

    repeat: int
    reason: str


def race(plan: Plan, results: Results, scoring: Scoring) -> dict[int, Exit]:
    """The candidates, by number, that have left the race; none if racing is off, and never a reference.

    A repeat is whole once every candidate that is still in the race has ended it. The leader is the candidate with the
    best mean so far among those that finished all; it may be a reference. A candidate that failed can no longer win,
    and leaves too.
    """
    exits: dict[int, Exit] = {}
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


def _failed(plan: Plan, results: Results, racing: list[int], repeat: int) -> dict[int, Exit]:
    reason = f"dropped by racing: it failed in repeat {repeat + 1}, and the winner must finish every one"
    return {
        candidate: Exit(repeat, reason)
        for candidate in racing
        if results[candidate, repeat] is None and not plan.candidates[candidate].is_reference
    }


def _clearly_worse(plan: Plan, results: Results, scoring: Scoring, racing: list[int], repeat: int) -> dict[int, Exit]:
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
            exits[candidate] = Exit(repeat, reason)
    return exits
