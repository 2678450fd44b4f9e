"""Plans of confirmations, and results as if their candidates had been trained."""

from __future__ import annotations

import numpy as np

from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import StudySpec
from hpo.testing.trainer import make_spec


def make_plan(references: int = 1, others: int = 2, *, racing_level: float = 0.01) -> Plan:
    """References that learn at 1e-3, and candidates that learn at 0.01, 0.02, ..."""
    first = [
        Candidate(name=f"reference {number}", config=TrainConfig(learning_rate=1e-3), is_reference=True)
        for number in range(references)
    ]
    more = [
        Candidate(name=f"trial {number}", config=TrainConfig(learning_rate=0.01 * (number + 1)), trial=number, auc=0.9)
        for number in range(others)
    ]
    return Plan(search="search", candidates=(*first, *more), top=max(1, others), racing_level=racing_level)


def make_confirmation(plan: Plan, repeats: int = 3, *, epochs: int = 2) -> StudySpec:
    """The spec of a confirmation with that plan."""
    spec = make_spec(repeats * len(plan.candidates), epochs=epochs)
    return spec.model_copy(update={"plan": plan})


def simulated(
    means: list[float], repeats: int, *, folds: int = 5, seed: int = 0
) -> dict[tuple[int, int], tuple[float, ...] | None]:
    """Fold AUCs about these means: a part that all candidates of a fold share, and one of their own, of .02 each."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(0, 0.02, (repeats, folds))
    own = generator.normal(0, 0.02, (len(means), repeats, folds))
    return {
        (number, repeat): tuple(mean + shared[repeat] + own[number, repeat])
        for number, mean in enumerate(means)
        for repeat in range(repeats)
    }
