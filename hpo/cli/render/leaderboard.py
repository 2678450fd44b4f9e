"""Render a confirmation: a line for each candidate, and the winner in a sentence."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.cli.render.page import whole
from hpo.outcome.leaderboard import Confirmation, Difference, LeaderboardRow, Verdict, changes_of
from hpo.study.baselines import shown_name
from hpo.text import bounds, with_error


def leaderboard_table(found: Confirmation) -> RenderableType:
    """Tabulate every candidate: search AUC, mean over repeats, and comparisons with others."""
    title = f"{found.name}: {found.whole} of {found.repeats} repeats"
    columns = ("in the search", "confirmed", "optimism", "repeats", "compared")
    table = Table("rank", whole("candidate"), *columns, title=title)
    for row in found.leaderboard:
        shown = shown_name(row.candidate, found.epochs)
        name = Text.assemble((shown, "bold"), " (baseline)") if row.is_reference else Text(shown)
        table.add_row(
            "-" if row.rank is None else str(row.rank),
            name,
            with_error(row.search_auc, row.search_error),
            with_error(row.mean, row.standard_error),
            "-" if row.optimism is None else signed(row.optimism),
            str(row.repeats),
            "\n".join([*(_compared(one, found.epochs) for one in row.differences), *([row.note] if row.note else [])]),
            style="green" if row.candidate == found.winner else "dim" if row.rank is None else None,
        )
    return Group(table, Text(verdict_of(found), style="bold"), *(Text(note, style="dim") for note in found.notes))


def ablation_table(found: Confirmation) -> RenderableType:
    """Tabulate the winner and each change to it, best first, with the difference that the change makes."""
    title = f"{found.name}: {found.whole} of {found.repeats} repeats"
    table = Table(whole("with"), "AUC", "difference from the winner, 95 % interval", "verdict", title=title)
    changes = {row.candidate: made for row, made in changes_of(found)}
    for row in sorted(found.leaderboard, key=lambda row: not row.is_reference):
        made = changes.get(row.candidate)
        table.add_row(
            Text.assemble((shown_name(row.candidate, found.epochs), "bold"), ", the winner")
            if row.is_reference
            else shown_name(row.candidate, found.epochs),
            with_error(row.mean, row.standard_error),
            "" if made is None else _compared(made, found.epochs),
            row.note or ("" if made is None else made.verdict.text),
        )
    return Group(table, *(Text(note, style="dim") for note in found.notes))


def verdict_of(found: Confirmation) -> str:
    """State the winner in words, or how far the confirmation is."""
    if not found.done:
        leads = f"; {shown_name(found.leader, found.epochs)} leads" if found.leader else ""
        return f"{found.whole} of {found.repeats} repeats are complete{leads}; run the same command to resume."
    if found.winner is None:
        return "There is no winner: no candidate finished every repeat."
    first = next(row for row in found.leaderboard if row.candidate == found.winner)
    kind = "the baseline " if first.is_reference else ""
    name = shown_name(first.candidate, found.epochs)
    repeats = f"{first.repeats} repeat{'s' if first.repeats > 1 else ''}"
    verdict = f"The winner by the rule of the study file ({found.rule}) is {kind}{name}, AUC {_mean(first)} over "
    return verdict + "; ".join([repeats, *(_compared(one, found.epochs) for one in first.differences)]) + "."


def signed(value: float) -> str:
    """Format a difference of AUC with its sign: `+0.021`."""
    return f"{value:+.3f}"


def _mean(row: LeaderboardRow) -> str:
    return with_error(row.mean, row.standard_error)


def _compared(found: Difference, epochs: int) -> str:
    than = "than" if found.verdict in ("better", "worse") else "from"
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f" {bounds(found.low, found.high, signed=True)}"
    if found.verdict == Verdict.INDISTINGUISHABLE and found.detectable is not None:
        interval += f", detectable {signed(found.detectable)[1:]}"
    return f"{found.verdict.text} {than} {shown_name(found.to, epochs)}: {signed(found.difference)}{interval}"
