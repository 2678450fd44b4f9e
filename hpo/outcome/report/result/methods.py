"""Build the report's section on methods: a table for each recipe, and what is apart in sentences."""

from __future__ import annotations

from functools import partial

from hpo.outcome.leaderboard import Verdict
from hpo.outcome.method_table import MethodEffect, MethodTable, RecipeEffects
from hpo.outcome.report.document import Block, Listing, Picture, Section, Table, Text, code
from hpo.outcome.report.result import figures
from hpo.text import bounds, with_error

_SAME = 0.005
"""A difference of training AUC below this is called none."""

_OF_BATCHES = (
    "augmentation",
    "batching",
    "positive_share",
    "noisy",
    "duplicates",
    "co_training",
    "progressive",
    "shape",
)
"""How the names of settings begin that change what is in a training batch, on which the training AUC is measured."""


def methods(found: MethodTable, *, pictures: bool = False) -> Section:
    """Report each recipe with and without each method.

    Args:
        pictures: whether to draw the differences, for a report, whose figures are files.
    """
    split = f"{found.folds} folds" if found.rows == "kfold" else f"scoring {found.rows}"
    lead = (
        f"Each method was put into a good recipe of its loss family, or taken out of it, and nothing else was changed: "
        f"{code(found.command)}, {_counted(found.repeats, 'repeat')} of {split}, {_counted(found.epochs, 'epoch')}"
        f"{_listed(', commit ', found.commits)}{_listed(', on ', found.devices)}."
    )
    if not found.done:
        lead += " Not everything that was planned has been trained yet."
    blocks: list[Block] = [Text(lead)]
    for number, recipe in enumerate(found.recipes, start=1):
        blocks += _of_recipe(recipe)
        if pictures and any(one.difference is not None for one in recipe.effects):
            caption = f"What each method does in {recipe.recipe}; 95 % intervals hold together, red ones exclude 0."
            blocks.append(Picture(f"methods-{number}", partial(figures.methods, recipe), caption))
    return Section(f"Methods on {found.dataset}", (*blocks, Listing(tuple(found.notes))))


def sentence(effect: MethodEffect) -> str:
    """Say what a method that is better or worse did, and what happened on the training set meanwhile."""
    assert effect.difference is not None, effect.method
    amount = f"{effect.difference:+.3f} {bounds(effect.low, effect.high, signed=True)}"
    said = f"**{effect.method}** is {effect.verdict.text}, {amount}"
    trained = effect.cost.training
    if trained is None:
        return f"{said}."
    if any(change.startswith(_OF_BATCHES) for change in effect.changes):
        return f"{said}; its training AUC ({trained:+.3f}) is of other batches, which it changes."
    if abs(trained) < _SAME:
        return f"{said}, while it ranks its training set as well ({trained:+.3f})."
    better = effect.difference > 0
    reasons = {
        (True, True): "it ranks its training set better, too: it learns more in these epochs",
        (True, False): "it ranks its training set worse: it overfits less",
        (False, True): "it ranks its training set better: it overfits more",
        (False, False): "it ranks its training set worse, too: it learns less in these epochs",
    }
    return f"{said}; {reasons[better, trained > 0]} ({trained:+.3f})."


def _of_recipe(recipe: RecipeEffects) -> list[Block]:
    lead = f"**{recipe.recipe}** ({', '.join(code(one) for one in recipe.settings)}): {_auc(recipe)}."
    header = (
        "method",
        "changed, recipe in brackets",
        "with minus without",
        "interval",
        "p",
        "detectable",
        "training AUC",
        "time",
        "memory",
        "verdict",
    )
    table = Table(header, tuple(_row(one) for one in recipe.effects))
    apart = [one for one in recipe.effects if one.verdict != Verdict.INDISTINGUISHABLE]
    said = [sentence(one) for one in apart]
    measured = [one for one in recipe.effects if one.difference is not None]
    same = [one.detectable for one in measured if one not in apart and one.detectable is not None]
    if same:
        least, most = f"{min(same):.3f}", f"{max(same):.3f}"
        said.append(
            f"{len(measured) - len(apart)} of {len(measured)} methods are indistinguishable from doing without. True "
            f"differences of {least if least == most else f'{least} to {most}'} would have been found four times in "
            "five."
        )
    return [Text(lead), table, *([Listing(tuple(said))] if said else [])]


def _row(one: MethodEffect) -> tuple[str, ...]:
    name = f"{one.method} (in the recipe)" if one.in_recipe else one.method
    changes = ", ".join(code(change) for change in one.changes)
    if one.difference is None:
        return (name, changes, *["-"] * 7, one.note)
    return (
        name,
        changes,
        f"{one.difference:+.3f}",
        bounds(one.low, one.high, signed=True),
        "-" if one.p is None else f"{one.p:.2g}",
        "-" if one.detectable is None else f"{one.detectable:.3f}",
        "-" if one.cost.training is None else f"{one.cost.training:+.3f}",
        times(one.cost.time),
        times(one.cost.memory),
        f"{one.verdict.text}{f' ({one.note})' if one.note else ''}",
    )


def times(ratio: float | None) -> str:
    """Format a ratio of costs: `x1.05`."""
    return "-" if ratio is None else f"x{ratio:.2f}"


def _auc(recipe: RecipeEffects) -> str:
    return f"AUC {with_error(recipe.mean, recipe.standard_error)}" if recipe.mean is not None else "not trained yet"


def _listed(before: str, names: tuple[str, ...]) -> str:
    return f"{before}{' and '.join(names)}" if names else ""


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "s")
