"""The table of what methods do: recipes, each with its methods and their differences, intervals and costs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpo.outcome.leaderboard import Verdict
from hpo.outcome.method_costs import CostRatio


@dataclass(frozen=True)
class MethodEffect:
    """A recipe with a method minus the same recipe without it.

    Attributes:
        candidate: what was trained besides the recipe.
        in_recipe: whether the recipe has the method, so that it was taken out.
        changes: settings of the candidate that differ from the recipe: `optimizer = sgd (adam)`, the recipe's in
            brackets.
        repeats: that both finished; the rest is None without any.
        with_it, without: mean AUC over these repeats.
        difference: with minus without.
        low, high: its interval, 95 % for all methods of the recipe together; None without spread, as `p`.
        p: two-sided, adjusted likewise.
        detectable: smallest true difference that would have been found four times in five.
        cost: of a trial with the method, relative to one without it.
        note: why there is less than was planned; "" if there is not.
    """

    method: str
    candidate: str
    in_recipe: bool
    changes: tuple[str, ...]
    repeats: int
    with_it: float | None = None
    without: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None
    verdict: Verdict = Verdict.INDISTINGUISHABLE
    cost: CostRatio = field(default_factory=CostRatio)
    note: str = ""


@dataclass(frozen=True)
class RecipeEffects:
    """What each method does in one recipe.

    Attributes:
        family: of its loss.
        settings: those that differ from the defaults and have an effect.
        mean, standard_error: AUC of the recipe itself.
        effects: largest difference first; methods that are not measured yet come last.
    """

    recipe: str
    family: str
    settings: tuple[str, ...]
    mean: float | None
    standard_error: float | None
    effects: list[MethodEffect]


@dataclass(frozen=True)
class MethodTable:
    """What a study of methods has measured so far.

    Attributes:
        search: study whose best are the recipes; "" for start points of a study file.
        folds: of each repeat.
        repeats: planned.
        command: that measures this again.
        commits, devices: of the trials.
        notes: how to read it.
    """

    name: str
    search: str
    dataset: str
    rows: str
    epochs: int
    folds: int
    repeats: int
    done: bool
    recipes: list[RecipeEffects]
    command: str = ""
    commits: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
