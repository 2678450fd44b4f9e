"""The best tuned configuration of each loss family."""

from __future__ import annotations

from hpo.outcome.candidates import family_of
from hpo.outcome.leaderboard import Confirmation
from hpo.study.plan import Plan


def best_of_families(plan: Plan, found: Confirmation) -> dict[str, str]:
    """Map each loss family to its candidate of highest mean, among those that can win and are no baselines."""
    configs = {candidate.name: candidate.config for candidate in plan.candidates}
    best: dict[str, str] = {}
    for row in found.leaderboard:
        if row.rank is not None and not row.is_reference:
            best.setdefault(family_of(configs[row.candidate]), row.candidate)
    return best
