"""Sections of a report on a search: its space, and what each setting did."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hpo.outcome.report.document import Block, Listing, Picture, Section, Table, Text
from hpo.outcome.report.search import figures
from hpo.outcome.report.search.effects import (
    LEAST_PER_LEVEL,
    ChoiceEffect,
    NumberEffect,
    choice_effects,
    comparisons,
    number_effects,
)
from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.search.queries.importance import LEAST_TRIALS, MOST_TRIALS, Importance, importances
from hpo.study.config import settings
from hpo.study.space import Choices, Range
from hpo.text import bounds, with_error


def space(search: SearchEvidence, seed: int = 0) -> Section:
    """Report the search space and each setting's effect: importance, slices, contour, choices."""
    title = "Search space and effect of each setting"
    if not search.spec.space:
        return Section(title, (Text("This study searches no setting."),))
    table = Table(
        ("setting", "values", "what it is"),
        tuple((f"`{name}`", _values(entry), settings()[name].description) for name, entry in search.spec.space.items()),
    )
    comparable = [(trial, value) for trial, value in search.comparable if not trial.row.reference]
    if len(comparable) < LEAST_TRIALS:
        few = f"{len(comparable)} trials are comparable so far; effects are estimated from {LEAST_TRIALS} on."
        return Section(title, (table, Text(few)))
    found = importances(search.spec, [t.config for t, _ in comparable], [value for _, value in comparable], seed=seed)
    blocks: list[Block] = [table, Text(_basis(search, len(comparable)))]
    if found:
        caption = (
            "Share of the variance of AUC over the search space that a setting accounts for by itself (functional "
            "ANOVA of a random forest). Bars whose error reaches zero are not evidence."
        )
        if len(comparable) > MOST_TRIALS:
            caption += f" Estimated from {MOST_TRIALS} of these trials, drawn at random."
        blocks.append(Picture("importance", partial(figures.importance_bars, found), caption))
    caption = (
        f"AUC after epoch {search.shared_epoch} against each setting, a dot for each trial in which it had an effect."
    )
    blocks.append(Picture("slices", partial(figures.slices, search), caption))
    blocks += _contour(search, found)
    effects = choice_effects(search)
    if effects:
        caption = "Choices compared on the same samples, resplit strategies and augmentations included."
        blocks.append(Picture("choices", partial(figures.choices, effects, search.shared_epoch), caption))
    return Section(title, tuple(blocks))


def reasons(search: SearchEvidence) -> Section:
    """Report each measured effect in a sentence."""
    title = "Measured effects of the settings"
    if not search.spec.space:
        return Section(title, (Text("There are none: this study searches no setting."),))
    sentences = [
        *(_choice_sentence(effect) for effect in choice_effects(search)),
        *(_number_sentence(effect) for effect in number_effects(search)),
    ]
    lead = (
        "Each sentence is a measured difference between trials at the same epoch. The trials were chosen by the "
        "sampler, not at random; the best and worst of several choices are compared; and an early epoch favours "
        "fast learners: take them as hints for the next study, not as proof. Intervals hold together with 95 % for all "
        f"{comparisons(search)} comparisons of values and ranges that this section looks at (Bonferroni)."
    )
    items = tuple(sentence for sentence in sentences if sentence)
    body: Block = Listing(items) if items else Text("There are too few trials to estimate effects.")
    return Section(title, (Text(lead), body))


def _values(entry: Range) -> str:
    if isinstance(entry, Choices):
        return ", ".join(str(choice) for choice in entry.choices)
    return f"{entry.low:g} to {entry.high:g}{', log' if entry.log else ''}"


def _basis(search: SearchEvidence, count: int) -> str:
    return (
        f"The effects below compare {count} trials by their AUC after epoch {search.shared_epoch} of "
        f"{search.spec.budget.epochs}, the last that all of them reached{_over_folds(search)}: final values exist only "
        "for those that were not pruned, and comparing them would be biased by survival."
    )


def _over_folds(search: SearchEvidence) -> str:
    shared, all_folds = search.shared_folds, search.spec.scoring.fold_count
    if not 0 < shared < all_folds:
        return ""
    return f", on the first {'fold' if shared == 1 else f'{shared} folds'} of {all_folds}, which all were trained on"


def _contour(search: SearchEvidence, found: Sequence[Importance]) -> list[Block]:
    """Draw the two most important ranges that have an effect in every trial."""
    space = search.spec.space
    ranges = [
        importance.setting
        for importance in found
        if not isinstance(space[importance.setting], Choices) and not settings()[importance.setting].when
    ]
    if len(ranges) < 2:
        return []
    first, second = ranges[:2]
    caption = f"AUC over `{first}` and `{second}`, the two most important ranges; interpolated between dots."
    return [Picture("contour", partial(figures.contour, search, first, second), caption)]


def _choice_sentence(effect: ChoiceEffect) -> str:
    if effect.difference is None or effect.low is None or effect.high is None:
        counts = ", ".join(f"{level.value} {len(level.aucs)}" for level in effect.levels)
        few = f"`{effect.setting}`: too few trials to compare, at least {LEAST_PER_LEVEL} of two values are needed"
        return f"{few} ({counts})." if counts else ""
    several = [level for level in effect.levels if len(level.aucs) >= LEAST_PER_LEVEL]
    best, worst = several[0], several[-1]
    verdict = "" if effect.low > 0 or effect.high < 0 else "; indistinguishable"
    return (
        f"`{effect.setting}`: {best.value} {with_error(best.mean, best.standard_error)} ({len(best.aucs)} trials), "
        f"{worst.value} {with_error(worst.mean, worst.standard_error)} ({len(worst.aucs)}); difference "
        f"{effect.difference:+.3f} {bounds(effect.low, effect.high, signed=True)}{verdict}."
    )


def _number_sentence(effect: NumberEffect) -> str:
    way = "higher" if effect.correlation > 0 else "lower"
    interval = f"[{effect.low:+.2f}, {effect.high:+.2f}]"
    correlation = f"`{effect.setting}`: rank correlation with AUC {effect.correlation:+.2f} {interval}"
    if effect.low > 0 or effect.high < 0:
        return f"{correlation} over {effect.count} trials: {way} values did better."
    return f"{correlation} over {effect.count} trials; no significant effect."
