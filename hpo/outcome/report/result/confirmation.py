"""Build the report's sections on the confirmation and the ablation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hpo.outcome.leaderboard import Confirmation, Difference, LeaderboardRow, Verdict, changes_of
from hpo.outcome.report.document import Block, Listing, Notice, Picture, Section, Table, Text
from hpo.outcome.report.result import figures
from hpo.study.baselines import shown_name
from hpo.text import bounds, found_four_times_in_five, with_error


def confirmation(found: Confirmation) -> Section:
    """Report the candidates retrained with new seeds on new folds."""
    lead = (
        f"The best {sum(not one.is_reference for one in found.leaderboard)} distinct configurations (over all, or of "
        "their loss family) and the baselines were retrained, unpruned, with new seeds and, unless the split is "
        f"official, on new folds: {found.whole} "
        f"of {found.repeats} repeats are complete. The rule was fixed before the search: {found.rule}."
    )
    blocks: list[Block] = [Text(lead), Notice(_winner(found))]
    header = ("candidate", "in the search", "confirmed", "95 % interval", "repeats", "optimism", "note")
    blocks.append(Table(header, tuple(_leaderboard_row(one, found) for one in found.leaderboard)))
    pairs = [
        (
            shown_name(one.candidate, found.epochs),
            shown_name(d.to, found.epochs),
            f"{d.difference:+.3f}",
            bounds(d.low, d.high, signed=True),
            d.verdict.text,
            _detectable(d),
        )
        for one in found.leaderboard
        for d in one.differences
    ]
    if pairs:
        compared = ("candidate", "minus", "difference", "95 % interval", "verdict", "detectable")
        blocks.append(Table(compared, tuple(pairs)))
    if any(one.mean is not None for one in found.leaderboard):
        caption = "AUC of each candidate in the search and in its confirmation."
        blocks.append(Picture("confirmation", partial(figures.optimism, found), caption))
    blocks.append(Listing(tuple(found.notes)))
    return Section("Confirmation", tuple(blocks))


def ablation(found: Confirmation) -> Section:
    """Report the winner with one setting at a time as in each baseline."""
    winner = next(one for one in found.leaderboard if one.is_reference)
    name = shown_name(winner.candidate, found.epochs)
    lead = (
        f"{name} was retrained once for each setting in which it differs from a baseline, with only that setting as in "
        f"the baseline; the baselines were retrained too. {found.whole} of {found.repeats} repeats are complete, with "
        f"the same folds and seeds for all. {name} itself: {with_error(winner.mean, winner.standard_error)}."
    )
    changes = changes_of(found)
    rows = tuple(
        (
            shown_name(one.candidate, found.epochs),
            with_error(one.mean, one.standard_error),
            f"{made.difference:+.3f}",
            bounds(made.low, made.high, signed=True),
            made.verdict.text,
            _detectable(made),
        )
        for one, made in changes
    )
    blocks: list[Block] = [Text(lead)]
    if rows:
        named = [(shown_name(one.candidate, found.epochs), made) for one, made in changes]
        blocks.append(Listing((*_effects_of(named), *found.notes)))
        header = ("with", "AUC", "minus the winner", "95 % interval", "verdict", "detectable")
        caption = "Effect of each change on the winner's validation AUC, with 95 % intervals."
        blocks += [Table(header, rows), Picture("ablation", partial(figures.changes, found), caption)]
    return Section("Ablation", tuple(blocks))


def _effects_of(changes: Sequence[tuple[str, Difference]]) -> list[str]:
    """State the effect of each change in sentences."""
    sentences = []
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        apart = [f"`{name}` {made.difference:+.3f}" for name, made in changes if made.verdict == verdict]
        if apart:
            sentences.append(f"{verdict.capitalize()} than the winner: {', '.join(apart)}.")
    open_ = sum(made.verdict == Verdict.INDISTINGUISHABLE for _, made in changes)
    sentences.append(
        f"{open_} of {len(changes)} are indistinguishable from the winner. At 95 % each, about one in forty changes "
        "without effect appears better by chance, and more appear worse."
    )
    return sentences


def _winner(found: Confirmation) -> str:
    first = next((one for one in found.leaderboard if one.candidate == (found.winner or found.leader)), None)
    if first is None and not found.done:
        return "Nothing is decided yet: no candidate has finished a repeat in which all could be compared."
    if first is None:
        return "No candidate has finished every repeat, so there is no winner."
    name, how = shown_name(first.candidate, found.epochs), "won" if found.winner else "leads"
    verdict = f"{name} {how} with {with_error(first.mean, first.standard_error)}."
    apart = [
        f"It is indistinguishable from {shown_name(d.to, found.epochs)}. {_found(d)}".rstrip()
        for d in first.differences
        if d.verdict == Verdict.INDISTINGUISHABLE
    ]
    return " ".join((verdict, *apart))


def _leaderboard_row(one: LeaderboardRow, found: Confirmation) -> tuple[str, ...]:
    return (
        f"{shown_name(one.candidate, found.epochs)}{' (baseline)' if one.is_reference else ''}",
        with_error(one.search_auc, one.search_error),
        with_error(one.mean, one.standard_error),
        bounds(one.low, one.high),
        str(one.repeats),
        "-" if one.optimism is None else f"{one.optimism:+.3f}",
        one.note or "",
    )


def _found(different: Difference) -> str:
    return "" if different.detectable is None else found_four_times_in_five(different.detectable)


def _detectable(found: Difference) -> str:
    """Format the smallest difference that would have been found four times in five."""
    return "-" if found.detectable is None else f"{found.detectable:.3f}"
