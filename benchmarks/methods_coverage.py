"""How often `hpo methods` is wrong about a method, where methods are alike and where some are noisier than others.

    python -m benchmarks.methods_coverage      # BreastMNIST's size, 200 tables of each case: 15 minutes
    python -m benchmarks.methods_coverage --unshrunk --runs 120     # if no variance were taken for smaller
    python -m benchmarks.methods_coverage --verdicts sqlite:///docs/results/methods/narrow.sqlite3    # what it changes

Tables of a recipe and 13 methods, all linear rules as in `benchmarks/selection.py` that are equally good but for what
the noise of their seeds costs, judged by `judge_methods` after three repeats of three folds, after one, and after three
of which seven methods have ended two only. Noise of seeds is the same for all (0, .3, 1), or that of three methods is
larger, as of settings with which a network learns in some trainings and not in others.

- "wrong": share of tables in which any interval of a method misses the true difference; nominal is at most .05
- "of noisy": share of the intervals of the noisier methods that do; nominal is at most .004
- half-width: mean, of the others and of the noisier methods

Verdicts: the methods that are better or worse in three repeats of the studies of a database, and whether they are so
too if no variance is taken for smaller than it was found.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from statistics import NormalDist
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection import DEVELOPMENT, FEATURES, OWN, Model, Scored, cross_validated
from hpo.outcome.leaderboard import Verdict
from hpo.outcome.method_effects import judge_methods, read_methods
from hpo.outcome.method_table import MethodEffect
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.listing import list_studies
from hpo.search.study import Study, open_study
from hpo.statistics.moderated_variance import VariancePrior
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.plan import Candidate, Plan

METHODS, NOISY, FOLDS = 13, 3, 3
LATE = range(7, METHODS + 1)
NOISES: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.3, 0.3), (1.0, 1.0), (0.3, 0.6), (0.3, 1.0), (0.3, 1.5))
"""Of the recipe and most methods, and of the last three."""

SPEC = default_spec("breast")
RECIPE = Candidate(name="recipe", config=TrainConfig())
PLAN = Plan(
    search="",
    candidates=(
        RECIPE,
        *(Candidate(name=f"{one}", config=TrainConfig(), base="recipe", method=f"{one}") for one in range(METHODS)),
    ),
    top=METHODS + 1,
    racing_level=0.0,
)


def intervals(repeats: Sequence[Scored], ended: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return low and high of each method, (METHODS, 2), by `judge_methods`, from the repeats that each has ended."""
    budget = SPEC.budget.model_copy(update={"trials": len(repeats) * (METHODS + 1)})
    scoring = SPEC.scoring.model_copy(update={"rows": "kfold", "folds": FOLDS})
    slots = [(one, repeat) for one in range(METHODS + 1) for repeat in range(ended[one])]
    table = judge_methods(
        "methods",
        SPEC.model_copy(update={"budget": budget, "scoring": scoring}),
        PLAN,
        {(one, repeat): tuple(map(float, repeats[repeat].aucs[one])) for one, repeat in slots},
        done=True,
        influences={(one, repeat): repeats[repeat].influences[one] for one, repeat in slots},
    )
    found = {effect.method: (effect.low, effect.high) for effect in table.recipes[0].effects}
    return np.array([found[f"{one}"] for one in range(METHODS)], dtype=np.float64)


def simulated(data: str, noises: tuple[float, float], runs: int, seed: int) -> list[str]:
    """Return the rows of a case: wrong, of the noisy, half-widths, for each number of repeats."""
    random = np.random.default_rng(seed)
    noise = np.array([noises[0]] * (METHODS + 1 - NOISY) + [noises[1]] * NOISY)
    labels = np.repeat([1, 0], DEVELOPMENT[data])
    model = Model(labels, noise[:, None], FOLDS)  # type: ignore[arg-type]
    distances = np.full(METHODS + 1, NormalDist().inv_cdf(model.auc) * math.sqrt(2 / FEATURES))
    late = np.where(np.isin(np.arange(METHODS + 1), LATE), 2, 3)
    cases = {"3": (3, np.full(METHODS + 1, 3)), "3 or 2": (3, late), "1": (1, np.full(METHODS + 1, 1))}
    truths, found = [], {case: [] for case in cases}  # type: ignore[var-annotated]
    for _ in range(runs):
        shape = (METHODS + 1, labels.size, FEATURES)
        samples = math.sqrt(1 - OWN) * random.normal(size=shape[1:]) + math.sqrt(OWN) * random.normal(size=shape)
        samples += distances[:, None, None] * labels[:, None]
        repeats = [cross_validated(samples, distances, model, FOLDS, random) for _ in range(3)]
        truths.append(np.mean([one.truths.mean(axis=1) for one in repeats], axis=0))
        for case, (count, ended) in cases.items():
            found[case].append(intervals(repeats[:count], ended))
    true = np.mean(truths, axis=0)
    rows = []
    for case, each in found.items():
        bounds = np.array(each)
        missed = (bounds[..., 0] > true[1:] - true[0]) | (bounds[..., 1] < true[1:] - true[0])
        half = (bounds[..., 1] - bounds[..., 0]) / 2
        rows.append(
            f"| {data} | {noises[0]:g}, {noises[1]:g} | {case} | {missed.any(axis=1).mean():.3f} | "
            f"{missed[:, -NOISY:].mean():.3f} | {half[:, :-NOISY].mean():.3f}, {half[:, -NOISY:].mean():.3f} |"
        )
    return rows


@contextmanager
def unshrunk() -> Iterator[None]:
    """Take no variance for smaller than it was found; the degrees of freedom stay moderated."""
    moderate = VariancePrior.moderate

    def largest(prior: VariancePrior, variance: float, degrees: float) -> tuple[float, float]:
        moderated, total = moderate(prior, variance, degrees)
        return max(moderated, variance), total

    with mock.patch.object(VariancePrior, "moderate", largest):
        yield


def verdicts(address: str) -> list[str]:
    """Return a row for each method that is distinguishable in three repeats of a study of methods of a database."""
    database, rows = open_database(resolve_address(address), create=False), []
    for row in list_studies(database):
        study = open_study(database, row.name)
        if study.spec.plan is None or not any(one.base is not None for one in study.spec.plan.candidates):
            continue
        found = _effects(study)
        with unshrunk():
            other = _effects(study)
        for key, effect in found.items():
            if effect.repeats >= 3 and effect.verdict is not Verdict.INDISTINGUISHABLE:
                told = [f"{_bounds(one)}, {one.verdict.value}" for one in (effect, other[key])]
                rows.append(f"| {row.name} | {' | '.join((*key, *told))} |")
    return rows


def _effects(study: Study) -> dict[tuple[str, str], MethodEffect]:
    return {(one.recipe, effect.method): effect for one in read_methods(study).recipes for effect in one.effects}


def _bounds(effect: MethodEffect) -> str:
    assert effect.low is not None
    assert effect.high is not None
    return f"{effect.low:+.3f} to {effect.high:+.3f}"


def main() -> None:
    """Parse, simulate, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DEVELOPMENT, default=["breast"])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unshrunk", action="store_true", help="take no variance for smaller than it was found")
    parser.add_argument("--verdicts", metavar="URL", help="database of studies of methods; nothing is simulated")
    given = parser.parse_args()
    if given.verdicts is not None:
        print("| study | recipe | method | moderated | unshrunk |")
        print("|---" * 5 + "|")
        print("\n".join(verdicts(given.verdicts)))
        return
    started = time.perf_counter()
    print("| data | noise of seeds, of three methods | repeats | wrong | of noisy | half-width |")
    print("|---" * 6 + "|")
    with unshrunk() if given.unshrunk else nullcontext():
        for data in given.data:
            for noises in NOISES:
                print("\n".join(simulated(data, noises, given.runs, given.seed)), flush=True)
    print(f"\n{given.runs} tables of each case, seed {given.seed}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
