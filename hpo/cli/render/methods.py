"""Render what methods do: a table for each recipe, and the methods that there are."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.cli.render.leaderboard import signed
from hpo.outcome.leaderboard import Verdict
from hpo.outcome.method_table import MethodEffect, MethodTable, RecipeEffects
from hpo.study.config import ConfigValues
from hpo.study.method import Method
from hpo.text import bounds, setting, with_error

_KINDS = {"any": "", "2D": " For 2D only.", "3D": " For 3D only.", "masks": " For masks only."}

_STYLES = {Verdict.BETTER: "green", Verdict.WORSE: "red"}


def effects_table(found: MethodTable) -> RenderableType:
    """Tabulate each recipe with and without each method, largest difference first."""
    state = [] if found.done else [Text("Not everything is trained yet; run the same command to resume.", style="bold")]
    tables = [_of_recipe(recipe, found) for recipe in found.recipes]
    return Group(*tables, *state, *(Text(note, style="dim") for note in found.notes))


def methods_table(methods: Sequence[Method]) -> Table:
    """Tabulate the methods that there are."""
    table = Table("method", "on", "off", "what it does", "source")
    for one in methods:
        table.add_row(Text(one.name, style="bold"), _values(one.on), _values(one.off), one.about, one.source)
    return table


def markdown_of(methods: Sequence[Method]) -> str:
    """Return a Markdown table of methods, as in docs/methods.md."""
    lines = ["| method | on | off | what it does | source |", "|---|---|---|---|---|"]
    for one in methods:
        about = one.about + (_KINDS[one.data])
        about += " Measured only if it is named." if one.needs_files else ""
        cells = (one.name, _in_code(one.on), _in_code(one.off), about, one.source or "our own")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _in_code(values: ConfigValues) -> str:
    return ", ".join(f"`{name} = {setting(value)}`" for name, value in values.items())


def _values(values: ConfigValues) -> str:
    return "\n".join(f"{name} = {setting(value)}" for name, value in values.items())


def _of_recipe(recipe: RecipeEffects, found: MethodTable) -> Table:
    auc = with_error(recipe.mean, recipe.standard_error)
    title = f"{found.name}, {recipe.recipe}: AUC {auc}, repeats: {found.repeats}"
    table = Table(
        *("method", "changed, recipe in brackets", "with minus without", "95 % together", "p", "detectable"),
        *("training AUC", "time", "memory", "verdict"),
        title=title,
    )
    for one in recipe.effects:
        table.add_row(*_cells(one), style=_STYLES.get(one.verdict))
    return table


def _cells(one: MethodEffect) -> tuple[str, ...]:
    name = f"{one.method} (in the recipe)" if one.in_recipe else one.method
    changes = "\n".join(one.changes)
    if one.difference is None:
        return (name, changes, *["-"] * 7, one.note)
    return (
        name,
        changes,
        signed(one.difference),
        bounds(one.low, one.high, signed=True),
        "-" if one.p is None else f"{one.p:.2g}",
        "-" if one.detectable is None else signed(one.detectable)[1:],
        "-" if one.cost.training is None else signed(one.cost.training),
        *("-" if ratio is None else f"x{ratio:.2f}" for ratio in (one.cost.time, one.cost.memory)),
        "\n".join([one.verdict.text, *([one.note] if one.note else [])]),
    )
