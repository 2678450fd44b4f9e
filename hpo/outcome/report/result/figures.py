"""Draw the figures of a confirmation and of a final result, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from hpo.outcome.final import Final
from hpo.outcome.judgement import Judgement
from hpo.outcome.leaderboard import Confirmation, Verdict, changes_of
from hpo.outcome.method_table import RecipeEffects
from hpo.outcome.report.drawing import BLACK, BLUE, COLOURS, GREY, ORANGE, RED, ReportFigure, canvas, drawn, plain
from hpo.study.baselines import shown_name
from hpo.study.published import Published
from hpo.text import auc

_GRID = np.linspace(0, 1, 201)


@drawn
def forest(judgement: Judgement, published: Sequence[Published]) -> ReportFigure:
    """Plot each entry's test AUC with interval and single networks, with the published values."""
    names = [plain(judgement.shown(entry.name)) for entry in judgement.entries] + [one.method for one in published]
    figure, axes = canvas(7.2, 0.8 + 0.3 * len(names))
    places = range(len(names) - 1, -1, -1)
    for place, entry, colour in zip(places, judgement.entries, cycle(COLOURS), strict=False):
        estimate = entry.interval
        axes.plot([estimate.low, estimate.high], [place, place], c=colour, lw=2)
        axes.plot(entry.mean, place, "o", c=colour)
        axes.plot([one.value for one in entry.aucs], [place] * len(entry.aucs), "|", c=BLACK, ms=8)
    for place, one in zip(list(places)[len(judgement.entries) :], published, strict=True):
        axes.plot(one.auc, place, "D", c=GREY, ms=5)
    axes.set_yticks(list(places), names)
    axes.set_xlabel("test AUC")
    axes.grid(axis="y", visible=False)
    return figure


@drawn
def optimism(confirmation: Confirmation) -> ReportFigure:
    """Plot each candidate's search AUC against its confirmed mean."""
    found = [one for one in confirmation.leaderboard if one.mean is not None]
    figure, axes = canvas(7.2, 0.9 + 0.3 * len(found))
    for place, one in enumerate(reversed(found)):
        assert one.mean is not None
        if one.search_auc is not None:
            axes.plot([one.search_auc, one.mean], [place, place], c=GREY, lw=1)
            axes.plot(one.search_auc, place, "x", c=ORANGE)
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place, place], c=BLUE, lw=2)
        axes.plot(one.mean, place, "o", c=BLUE)
    axes.plot([], [], "x", c=ORANGE, label="in the search")
    axes.plot([], [], "o-", c=BLUE, label="confirmed, 95 % interval")
    axes.set_yticks(
        range(len(found)), [plain(shown_name(one.candidate, confirmation.epochs)) for one in reversed(found)]
    )
    axes.set_xlabel("validation AUC")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="best", fontsize=8)
    return figure


@drawn
def changes(ablation: Confirmation) -> ReportFigure:
    """Plot the difference that each change makes to the winner, with its interval."""
    found = [(plain(shown_name(one.candidate, ablation.epochs)), made) for one, made in changes_of(ablation)]
    figure, axes = canvas(7.2, 0.9 + 0.3 * len(found))
    for place, (_, made) in enumerate(reversed(found)):
        if made.low is not None and made.high is not None:
            axes.plot([made.low, made.high], [place, place], c=BLUE, lw=2)
        axes.plot(made.difference, place, "o", c=BLUE)
    axes.axvline(0.0, c=BLACK, lw=0.8, ls="--")
    axes.set_yticks(range(len(found)), [name for name, _ in reversed(found)])
    axes.set_xlabel("difference of validation AUC to the winner")
    axes.grid(axis="y", visible=False)
    return figure


@drawn
def methods(recipe: RecipeEffects) -> ReportFigure:
    """Plot the difference that each method makes to one recipe, with its interval."""
    found = [(one, one.difference) for one in recipe.effects if one.difference is not None]
    figure, axes = canvas(7.2, 0.9 + 0.3 * len(found))
    for place, (one, difference) in enumerate(reversed(found)):
        colour = BLUE if one.verdict == Verdict.INDISTINGUISHABLE else RED
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place, place], c=colour, lw=2)
        axes.plot(difference, place, "o", c=colour)
    axes.axvline(0.0, c=BLACK, lw=0.8, ls="--")
    axes.set_yticks(range(len(found)), [plain(one.method) for one, _ in reversed(found)])
    axes.set_xlabel("validation AUC with the method minus without it")
    axes.grid(axis="y", visible=False)
    return figure


@drawn
def curves(final: Final, label: int = 0) -> ReportFigure:
    """Plot ROC and precision-recall on the test set for one label: networks thin, their mean thick."""
    figure = ReportFigure(figsize=(8.4, 4.4))
    left, right = figure.subplots(1, 2)
    truth = final.labels[:, label]
    for (name, scores), colour in zip(final.scores.items(), cycle(COLOURS), strict=False):
        true_positive_rates, precisions, areas = [], [], []
        for one in scores[..., label]:
            false_positive_rate, true_positive_rate, _ = roc_curve(truth, one)
            left.plot(false_positive_rate, true_positive_rate, c=colour, lw=0.6, alpha=0.5)
            true_positive_rates.append(np.interp(_GRID, false_positive_rate, true_positive_rate))
            # scikit-learn returns decreasing recall. Steps, because linear interpolation is optimistic (Davis and
            # Goadrich 2006).
            precision, recall = (values[::-1] for values in precision_recall_curve(truth, one)[:2])
            right.step(recall, precision, c=colour, lw=0.6, alpha=0.5, where="pre")
            precisions.append(precision[np.searchsorted(recall, _GRID, side="left")])
            areas.append(average_precision_score(truth, one))
        left.plot(_GRID, np.mean(true_positive_rates, axis=0), c=colour)
        legend = f"{plain(shown_name(name, final.result.epochs(name)))}, average precision {auc(float(np.mean(areas)))}"
        right.plot(_GRID, np.mean(precisions, axis=0), c=colour, label=legend)
    left.plot([0, 1], [0, 1], c=BLACK, lw=0.8, ls="--")
    right.axhline(truth.mean(), c=BLACK, lw=0.8, ls="--", label="chance")
    left.set_xlabel("false positive rate")
    left.set_ylabel("true positive rate")
    right.set_xlabel("recall")
    right.set_ylabel("precision")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", fontsize=8)
    return figure
