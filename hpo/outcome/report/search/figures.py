"""Draw the figures of a search, as SVG text with labels, units and error bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hpo.outcome.report.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    ReportFigure,
    canvas,
    drawn,
    is_many,
    plain,
)
from hpo.outcome.report.search.effects import ChoiceEffect
from hpo.outcome.report.search.evidence import SearchEvidence, TrialEvidence
from hpo.search.queries.importance import Importance
from hpo.statistics.roc import ROC_GRID
from hpo.study.space import Choices, Range
from hpo.text import auc

if TYPE_CHECKING:
    # scikit-learn takes a second, which the dashboard's pictures need not wait for.
    from hpo.statistics.calibration import Calibration

_BASELINE_COLOURS = (ORANGE, GREEN, RED)
_COLUMNS = 3
_LEAST_FOR_CONTOUR = 10


@drawn
def history(search: SearchEvidence) -> ReportFigure:
    """Plot each trial's AUC by trial number, the best so far, and the baselines."""
    figure, axes = canvas(7.2, 3.2)
    groups = (("complete", BLUE, "o"), ("pruned", GREY, "x"))
    for state, colour, marker in groups:
        points = [t for t in search.trials if t.row.state == state and t.row.auc is not None and not t.row.reference]
        axes.scatter(
            [t.row.number for t in points],
            [_auc(t) for t in points],
            c=colour,
            marker=marker,
            s=22,
            label=state,
            rasterized=is_many(points),
        )
    done = sorted((t for t in search.complete if not t.row.reference), key=lambda t: t.row.number)
    if done:
        best = np.maximum.accumulate([_auc(t) for t in done])
        axes.step([t.row.number for t in done], best, where="post", c=BLUE, lw=1.2, label="best so far")
    _baseline_lines(axes, search)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel("validation AUC at its last report")
    # Outside: wherever it lies inside, some study has its trials there.
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=7)
    return figure


@drawn
def importance_bars(found: Sequence[Importance]) -> ReportFigure:
    """Plot each setting's share of the variance of AUC, with standard errors."""
    figure, axes = canvas(6.4, 0.6 + 0.27 * len(found))
    places = np.arange(len(found))[::-1]
    shares = [100 * importance.share for importance in found]
    errors = [100 * importance.standard_error for importance in found]
    left = [min(error, share) for error, share in zip(errors, shares, strict=True)]
    axes.barh(places, shares, xerr=[left, errors], color=BLUE, ecolor=BLACK, capsize=2, height=0.6)
    axes.set_yticks(places, [importance.setting for importance in found])
    axes.set_xlabel("share of the variance of AUC, % (bars: ± standard error)")
    axes.grid(axis="y", visible=False)
    return figure


@drawn
def slices(search: SearchEvidence) -> ReportFigure:
    """Plot AUC at the shared epoch against each searched setting, one panel each, best trial and medians marked."""
    space = search.spec.space
    rows = math.ceil(len(space) / _COLUMNS)
    figure = ReportFigure(figsize=(8.4, 2.1 * rows))
    panels = np.atleast_1d(figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)).ravel()
    for axes, (name, entry) in zip(panels, space.items(), strict=False):
        _slice(axes, name, entry, search.points[name])
    for axes in panels[len(space) :]:
        axes.set_visible(False)
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel(f"AUC, epoch {search.shared_epoch}")
    return figure


@drawn
def contour(search: SearchEvidence, first: str, second: str) -> ReportFigure:
    """Plot AUC at the shared epoch over two searched ranges; the surface is interpolated between trials."""
    figure, axes = canvas(5.6, 4.0)
    pairs = [
        (trial.config[first], trial.config[second], auc) for trial, auc in search.comparable if not trial.row.reference
    ]
    x, y, z = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    logs = [getattr(search.spec.space[name], "log", False) for name in (first, second)]
    u, v = (np.log10(values) if log else values for values, log in zip((x, y), logs, strict=True))
    # Points on one line, as of a range with one value so far, span no surface.
    is_plane = np.linalg.matrix_rank(np.column_stack([u - u.mean(), v - v.mean()])) == 2
    if len(pairs) >= _LEAST_FOR_CONTOUR and is_plane:
        surface = axes.tricontourf(u, v, z, levels=10, cmap="Blues", alpha=0.7)
        figure.colorbar(surface, label=f"AUC, epoch {search.shared_epoch}")
    axes.scatter(u, v, c=z, cmap="Blues", edgecolors=BLACK, linewidths=0.6, s=26, rasterized=is_many(pairs))
    for label, name, log in ((axes.set_xlabel, first, logs[0]), (axes.set_ylabel, second, logs[1])):
        label(f"log10 of {name}" if log else name)
    return figure


@drawn
def choices(effects: Sequence[ChoiceEffect], epoch: int) -> ReportFigure:
    """Plot mean AUC with standard error for each choice of each setting, and a dot for each trial."""
    heights = [0.5 + 0.22 * len(effect.levels) for effect in effects]
    figure = ReportFigure(figsize=(6.8, sum(heights) + 0.4))
    panels = np.atleast_1d(figure.subplots(len(effects), 1, sharex=True, height_ratios=heights))
    for axes, effect in zip(panels, effects, strict=True):
        for place, level in enumerate(reversed(effect.levels)):
            axes.scatter(level.aucs, [place] * len(level.aucs), s=12, c=GREY, rasterized=is_many(level.aucs))
            axes.errorbar(level.mean, place, xerr=level.standard_error or 0.0, fmt="o", c=BLUE, capsize=3, ms=5)
        names = [f"{plain(str(level.value))} (n = {len(level.aucs)})" for level in reversed(effect.levels)]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_title(effect.setting, fontsize=9, loc="left", fontweight="bold")
    panels[-1].set_xlabel(f"validation AUC after epoch {epoch} (dots: trials; bars: mean ± standard error)")
    return figure


@drawn
def curves(search: SearchEvidence) -> ReportFigure:
    """Plot every trial's validation AUC by epoch; best trial and baselines with standard errors."""
    figure, axes = canvas(7.2, 3.6)
    named = {trial.row.number for trial in search.named}
    for state, colour, width in (("pruned", GREY, 0.7), ("complete", BLUE, 0.8)):
        group = [trial for trial in search.trials if trial.row.state == state and trial.row.number not in named]
        if group:
            label = f"{state} ({len(group)})"
            axes.plot(*_joined(group), c=colour, lw=width, alpha=0.8, label=label, rasterized=is_many(group))
    _named_curves(axes, search)
    axes.set_ylabel("validation AUC (bands: ± standard error)")
    return figure


@drawn
def overfitting(search: SearchEvidence) -> ReportFigure:
    """Plot training and validation AUC: by epoch for best trial and baselines, and at the end for all trials."""
    figure = ReportFigure(figsize=(8.4, 3.4))
    left, right = figure.subplots(1, 2)
    for trial, colour in zip(search.named, _colours_of(search, search.named), strict=True):
        epochs, aucs = _curve(trial)
        left.plot(epochs, aucs, c=colour, lw=1.6, label=f"{plain(trial.label)}, validation")
        left.plot(epochs, [point.training_auc for point in trial.curve], c=colour, lw=1.2, ls=":")
    left.plot([], [], c=BLACK, lw=1.2, ls=":", label="the same, training batches")
    left.set_xlabel("epoch")
    left.set_ylabel("AUC")
    left.legend(fontsize=7, loc="lower right")
    for state, colour, marker in (("pruned", GREY, "x"), ("complete", BLUE, "o")):
        ends = [t.curve[-1] for t in search.trials if t.row.state == state and t.curve]
        pairs = [(end.training_auc, end.auc) for end in ends if end.training_auc is not None]
        training, validation = [a for a, _ in pairs], [b for _, b in pairs]
        many = is_many(pairs)
        right.scatter(training, validation, c=colour, marker=marker, s=20, label=state, rasterized=many)
    low = min(*right.get_xlim(), *right.get_ylim())
    right.plot([low, 1], [low, 1], c=BLACK, lw=0.8, ls="--", label="equal")
    right.set_xlabel("training AUC at the last report")
    right.set_ylabel("validation AUC at the last report")
    right.legend(fontsize=7, loc="upper left")
    return figure


@drawn
def rocs(search: SearchEvidence) -> ReportFigure:
    """Plot the ROC of best trial and baselines on their validation parts, mean over folds."""
    figure, axes = canvas(4.4, 4.0)
    _rocs(axes, search.named, _colours_of(search, search.named))
    return figure


@drawn
def reliability(found: Mapping[str, Calibration]) -> ReportFigure:
    """Plot the reliability curves of several trials by their names, before and after Platt scaling, a panel each."""
    figure = ReportFigure(figsize=(2.9 * len(found) + 0.4, 3.5))
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    for axes, (name, one) in zip(panels, found.items(), strict=True):
        axes.plot([0, 1], [0, 1], c=GREY, lw=0.8, ls="--")
        axes.plot(one.raw.predicted, one.raw.observed, c=BLUE, marker="o", ms=3.5, lw=1.4, label="sigmoid of the logit")
        if one.scaled is not None:
            curve = one.scaled
            axes.plot(
                curve.predicted, curve.observed, c=ORANGE, marker="x", ms=4, lw=1.2, ls=":", label="Platt scaling"
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        axes.set_title(f"{name}\nBrier score {auc(one.raw.brier)}", loc="left", fontsize=8)
        axes.set_xlabel("predicted probability")
    panels[0].set_ylabel("share of positives")
    panels[0].legend(loc="upper left", fontsize=7)
    return figure


@drawn
def search_overview(search: SearchEvidence) -> ReportFigure:
    """Plot AUC by epoch and ROC of best trial and baselines."""
    figure = ReportFigure(figsize=(8.4, 3.6))
    left, right = figure.subplots(1, 2)
    _named_curves(left, search)
    _rocs(right, search.named, _colours_of(search, search.named))
    return figure


@drawn
def trial_overview(trial: TrialEvidence) -> ReportFigure:
    """Plot one trial's validation and training AUC by epoch, and its final ROC if stored."""
    figure = ReportFigure(figsize=(8.4, 3.6))
    left, right = figure.subplots(1, 2)
    _curve_with_errors(left, trial, BLUE, "validation part")
    left.plot(
        _curve(trial)[0], [point.training_auc for point in trial.curve], c=ORANGE, ls=":", label="training batches"
    )
    _label_curves(left)
    left.set_title(plain(trial.label), loc="left", fontsize=9)
    _rocs(right, [trial], [BLUE])
    return figure


def _named_curves(axes: Axes, search: SearchEvidence) -> None:
    for trial, colour in zip(search.named, _colours_of(search, search.named), strict=True):
        _curve_with_errors(axes, trial, colour, plain(trial.label))
    _label_curves(axes)


def _curve_with_errors(axes: Axes, trial: TrialEvidence, colour: str, label: str) -> None:
    epochs, aucs = _curve(trial)
    errors = np.array([point.standard_error or 0.0 for point in trial.curve])
    axes.plot(epochs, aucs, c=colour, lw=2, label=label)
    axes.fill_between(epochs, aucs - errors, aucs + errors, color=colour, alpha=0.18, lw=0)


def _label_curves(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel("AUC (bands: ± standard error)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=7)


def _rocs(axes: Axes, trials: Sequence[TrialEvidence], colours: Sequence[str]) -> None:
    for trial, colour in zip(trials, colours, strict=True):
        if trial.roc:
            axes.plot(ROC_GRID, trial.roc, c=colour, lw=1.6, label=f"{plain(trial.label)}, AUC {auc(trial.row.auc)}")
    axes.plot([0, 1], [0, 1], c=GREY, lw=0.8, ls="--")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate, mean over folds")
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    if any(trial.roc for trial in trials):
        axes.legend(loc="lower right", fontsize=7)
    else:
        axes.text(0.5, 0.4, "no ROC is stored\nbefore a trial ends", ha="center", va="center", color=BLACK, fontsize=8)


def _auc(trial: TrialEvidence) -> float:
    return math.nan if trial.row.auc is None else float(trial.row.auc)


def _curve(trial: TrialEvidence) -> tuple[Any, Any]:
    return np.array([point.epoch for point in trial.curve]), np.array([point.auc for point in trial.curve])


def _joined(trials: Sequence[TrialEvidence]) -> tuple[Any, Any]:
    """Return the curves of trials as one, with gaps: a line for each takes a second for 500."""
    points = [pair for trial in trials for pair in (*((p.epoch, p.auc) for p in trial.curve), (math.nan, math.nan))]
    return np.array([epoch for epoch, _ in points]), np.array([auc for _, auc in points])


def _colours_of(search: SearchEvidence, trials: Iterable[TrialEvidence]) -> list[str]:
    own = dict(zip((trial.row.number for trial in search.baselines), _BASELINE_COLOURS, strict=False))
    return [own.get(trial.row.number, BLUE if not trial.row.reference else RED) for trial in trials]


def _baseline_lines(axes: Axes, search: SearchEvidence) -> None:
    for trial, colour in zip(search.baselines, _BASELINE_COLOURS, strict=False):
        axes.axhline(_auc(trial), c=colour, lw=1.2, ls="--", label=plain(trial.label))


def _slice(axes: Axes, name: str, entry: Range, points: list[tuple[Any, float]]) -> None:
    aucs = [auc for _, auc in points]
    if isinstance(entry, Choices):
        spread = np.random.default_rng(0).uniform(-0.15, 0.15, len(points))
        places = [entry.choices.index(value) + shift for (value, _), shift in zip(points, spread, strict=True)]
        axes.set_xticks(
            range(len(entry.choices)), [plain(str(choice)) for choice in entry.choices], rotation=35, ha="right"
        )
    else:
        places = [float(value) for value, _ in points]
        axes.set_xscale("log" if entry.log else "linear")
        if entry.low < entry.high:
            axes.set_xlim(entry.low, entry.high)
    axes.scatter(places, aucs, s=12, c=BLUE, alpha=0.7, rasterized=is_many(points))
    axes.set_xlabel(name)
