"""What the configuration is worth that was selected as the best of many by its cross-validated AUC.

The best of many noisy values is too high. BBC-CV (bootstrap bias-corrected cross-validation) repeats the selection on
resamples of the out-of-fold scores: it selects on the samples that were drawn, and scores the selected configuration on
those that were not. Nothing is trained again.

A resample may leave out no sample of a class in a fold with few of them, and then cannot score that fold, or that label
of it. Its value is moved by what the others alone differ from all, so that folds count alike whatever they hold. A fold
of whose rarer class there is one sample only can never be scored, and then nothing is corrected.

It removes what is due to the choice of samples. A configuration that was lucky with its seeds has networks that really
are better, on the samples left out, too; what it would reach when trained again remains overestimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics.auc import OneClassError, auc
from hpo.statistics.bootstrap import MIN_RESAMPLES, resample_counts, weighted_areas
from hpo.statistics.intervals import CONFIDENCE, ZERO_TOLERANCE, check_confidence
from hpo.statistics.network_metrics import labels_with_both_classes
from hpo.statistics.out_of_fold import SampleIndex, ScoredFold, out_of_fold_aucs
from hpo.statistics.t_intervals import proportion_estimate

RESAMPLES = 500

MOST_WORK = 500_000_000
"""Largest number of scores times resamples, about ten seconds; of larger tables fewer resamples are drawn."""

_OUT_OF_REACH = 6.0
"""A configuration that lies this many standard errors of the paired difference below those that are selected would be
selected in one resample of a thousand million."""


@dataclass(frozen=True)
class Corrected:
    """A value of a selected configuration.

    Attributes:
        naive: on all samples, on which it was selected.
        corrected: mean over resamples, on the samples that were left out of each.
        low, high: percentile interval over resamples; for an AUC without spread that of Clopper and Pearson.
    """

    naive: float
    corrected: float
    low: float
    high: float
    confidence: float

    @property
    def optimism(self) -> float:
        """By how much the naive value overestimates."""
        return self.naive - self.corrected


@dataclass(frozen=True, eq=False)
class Smoother:
    """A rule that selects by AUCs smoothed over configurations, as a linear function of the configurations' own AUCs.

    Attributes:
        values: (C,) smoothed AUCs of the candidates; nan for those that it does not smooth, which keep their own.
        derivatives: (C, C) of the smoothed AUCs by the candidates' own; those by other values do not matter, since they
            stay as they are when samples are drawn anew.
    """

    values: NDArray[np.float64]
    derivatives: NDArray[np.float64]

    def at(self, aucs: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smoothed AUCs of resamples.

        Args:
            aucs: (C,) on all samples.
            drawn: (C, B) on the samples of each resample.
        """
        smoothed = self.values[:, None] + self.derivatives @ (drawn - aucs[:, None])
        return np.where(np.isnan(self.values)[:, None], drawn, smoothed)

    def of(self, places: NDArray[np.int64]) -> Smoother:
        """Return the rule for some of the candidates, as if the AUCs of the others stayed as they are."""
        return Smoother(self.values[places], self.derivatives[np.ix_(places, places)])


@dataclass(frozen=True)
class Selection:
    """The configuration with the highest mean AUC over folds, or the highest smoothed one.

    Attributes:
        place: of the selected configuration, among all.
        auc: its AUC.
        differences: to each reference, by its place: selected minus reference.
        ensemble: places of the configurations whose ranks are averaged, best first; empty if not asked for.
        ensemble_auc: AUC of the averaged ranks, the members selected anew in each resample.
        ensemble_gain: that minus the AUC of the selected configuration.
        resamples: number of them.
    """

    place: int
    auc: Corrected
    differences: dict[int, Corrected]
    ensemble: tuple[int, ...]
    ensemble_auc: Corrected | None
    ensemble_gain: Corrected | None
    resamples: int


def corrected_selection(
    folds: Sequence[ScoredFold],
    candidates: Sequence[int],
    references: Sequence[int] = (),
    ensemble: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    smoother: Smoother | None = None,
) -> Selection:
    """Select the candidate with the highest mean AUC over folds, and correct its AUC for the selection by BBC-CV.

    Resamples are drawn within folds and, with one label, within classes.

    Args:
        folds: scores of all configurations.
        candidates: places of the configurations that were selected from, at least one.
        references: places of configurations that were fixed before, to compare with.
        ensemble: number of best candidates whose ranks within folds are averaged; 0 for none. Fewer than two are none.
        smoother: of the candidates, by which they are selected instead; members of the ensemble are the best by AUC.

    Raises:
        OneClassError: if a fold has two samples of each class for no label.
        ValueError: as `out_of_fold_aucs`; without candidates, or for fewer than MIN_RESAMPLES resamples.

    Source: Tsamardinos, Greasidou and Borboudakis 2018, Machine Learning 107:1895.
    """
    check_confidence(confidence)
    if not candidates or resamples < MIN_RESAMPLES:
        raise ValueError(f"{len(candidates)} candidates and {resamples} resamples; needed are 1 and {MIN_RESAMPLES}")
    _check_classes(folds)
    members = min(ensemble, len(candidates)) if ensemble > 1 and len(candidates) > 1 else 0
    own = [fold.of(candidates) for fold in folds]
    values, within_reach = _contenders(own, max(members, 1), smoother)
    places, values = np.asarray(candidates)[within_reach], values[within_reach]
    own = [fold.of(within_reach) for fold in own]
    rule = None if smoother is None else smoother.of(within_reach)
    work = sum(fold.scores.size for fold in own)
    draws = _Draws(own, max(MIN_RESAMPLES, min(resamples, MOST_WORK // max(work, 1))), seed)
    drawn = draws.areas(own)
    ranked = drawn if rule is None else rule.at(values, drawn)
    order = np.argsort(-values, kind="stable")
    selected = int(order[0] if rule is None else rule.at(values, values[:, None]).argmax())
    best = float(values[selected])
    chosen = draws.areas_left_out(own, ranked.argmax(axis=0)[:, None], np.array([selected]))
    differences = {}
    for reference in references:
        fixed = [fold.of([reference]) for fold in folds]
        naive = best - float(out_of_fold_aucs(fixed).values[0])
        theirs = draws.areas_left_out(fixed, np.zeros((draws.count, 1), dtype=np.int64), np.array([0]))
        differences[reference] = _corrected(naive, chosen - theirs, confidence, least=-1.0)
    together = gain = None
    if members:
        whole, averaged = _ensemble(own, order[:members], drawn, draws)
        together = _corrected_auc(whole, averaged, confidence, own)
        gain = _corrected(whole - best, averaged - chosen, confidence, least=-1.0)
    return Selection(
        place=int(places[selected]),
        auc=_corrected_auc(best, chosen, confidence, own),
        differences=differences,
        ensemble=tuple(int(place) for place in places[order[:members]]),
        ensemble_auc=together,
        ensemble_gain=gain,
        resamples=draws.count,
    )


def selected_place(folds: Sequence[ScoredFold], candidates: Sequence[int], smoother: Smoother | None = None) -> int:
    """Return the place of the configuration that `corrected_selection` selects, also where it cannot be corrected.

    Args:
        folds, candidates, smoother: as `corrected_selection`.
    """
    values = out_of_fold_aucs([fold.of(candidates) for fold in folds]).values
    ranked = values if smoother is None else smoother.at(values, values[:, None])[:, 0]
    return int(candidates[int(ranked.argmax())])


def _check_classes(folds: Sequence[ScoredFold]) -> None:
    """Raise OneClassError unless each fold has two samples of each class for some label: one that is drawn, one not."""
    for number, fold in enumerate(folds):
        positives = fold.labels.sum(axis=0, dtype=np.int64)
        rarer = int(np.minimum(positives, len(fold.labels) - positives).max())
        if rarer < 2:
            raise OneClassError(f"fold {number} has {rarer} samples of the rarer class; a correction needs two in each")


def _corrected_auc(
    naive: float, left_out: NDArray[np.float64], confidence: float, folds: Sequence[ScoredFold]
) -> Corrected:
    """Correct an AUC; one without spread, as a perfect one, has the interval of as many independent pairs."""
    found = _corrected(naive, left_out, confidence)
    if found.high - found.low > ZERO_TOLERANCE:
        return found
    pairs = out_of_fold_aucs(folds).binomial_n
    wide = proportion_estimate(found.corrected, 0.0, pairs, confidence, math.inf, "plain")
    return replace(found, low=wide.low, high=wide.high)


def _corrected(naive: float, left_out: NDArray[np.float64], confidence: float, least: float = 0.0) -> Corrected:
    left_out = left_out[~np.isnan(left_out)]
    if not left_out.size:
        raise OneClassError("no resample leaves both classes out in any fold; there are too few samples")
    low, high = np.clip(np.quantile(left_out, [(1 - confidence) / 2, (1 + confidence) / 2]), least, 1.0)
    return Corrected(naive, float(left_out.mean()), float(low), float(high), confidence)


def _ensemble(
    folds: Sequence[ScoredFold], team: NDArray[np.int64], drawn: NDArray[np.float64], draws: _Draws
) -> tuple[float, NDArray[np.float64]]:
    """Return the AUC of the averaged ranks of a team, and on what each resample leaves out those of its own team.

    Args:
        team: (k,) places of the best on all samples.
        drawn: (C, B) AUCs on the samples that each resample drew.
    """
    ranked = [ScoredFold(fold.samples, fold.labels, _ranks(fold)) for fold in folds]
    whole = float(out_of_fold_aucs([_averaged(fold, team) for fold in ranked]).values[0])
    teams = np.sort(np.argpartition(-drawn, team.size - 1, axis=0)[: team.size].T, axis=1)
    return whole, draws.areas_left_out(ranked, teams, team)


def _contenders(
    folds: Sequence[ScoredFold], count: int, smoother: Smoother | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the AUCs of all candidates, and the places of those that may be among the best `count` of a resample."""
    metrics = out_of_fold_aucs(folds)
    last = int(np.argsort(-metrics.values, kind="stable")[count - 1])
    if smoother is not None:
        # What is selected may be below the best by AUC.
        selected = int(smoother.at(metrics.values, metrics.values[:, None]).argmax())
        last = min(last, selected, key=lambda place: metrics.values[place])
    errors = np.linalg.norm(metrics.influences - metrics.influences[last], axis=1)
    is_near = metrics.values >= metrics.values[last] - _OUT_OF_REACH * errors
    return metrics.values, np.flatnonzero(is_near)


def _ranks(fold: ScoredFold) -> NDArray[np.float32]:
    """Return the rank of each sample within the fold, for each configuration and label; ties share their mean."""
    return np.asarray(stats.rankdata(fold.scores, axis=1), dtype=np.float32)


def _averaged(fold: ScoredFold, places: NDArray[np.int64]) -> ScoredFold:
    return ScoredFold(fold.samples, fold.labels, fold.scores[places].mean(axis=0, keepdims=True))


class _Draws:
    """Resamples of the samples of several folds.

    Attributes:
        count: B, the number of resamples.
    """

    def __init__(self, folds: Sequence[ScoredFold], count: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        index = SampleIndex.of(folds)
        self.count, self._places = count, index.places
        self._counts = np.zeros((index.count, count), dtype=np.int64)
        for stratum in np.unique(index.strata):
            here = np.flatnonzero(index.strata == stratum)
            self._counts[here] = resample_counts(here.size, count, random)

    def areas(self, folds: Sequence[ScoredFold]) -> NDArray[np.float64]:
        """Compute the (C, B) mean AUCs over folds and labels on the samples that were drawn."""
        return self._areas(folds, [self._counts[places] for places in self._places])

    def areas_left_out(
        self, folds: Sequence[ScoredFold], teams: NDArray[np.int64], selected: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compute the (B,) AUCs of the averaged scores of each resample's team on the samples that were not drawn.

        Args:
            teams: (B, k) places of the configurations whose scores are averaged.
            selected: (k,) the team on all samples, by which a resample is moved that cannot score all folds and labels.
        """
        values = np.empty(self.count)
        distinct, which = np.unique(teams, axis=0, return_inverse=True)
        for number, team in enumerate(distinct):
            columns = np.flatnonzero(which.reshape(-1) == number)
            left_out = [(self._counts[np.ix_(places, columns)] == 0).astype(np.int64) for places in self._places]
            values[columns] = self._areas([_averaged(fold, team) for fold in folds], left_out)[0]
        return values + self._unscored([_averaged(fold, selected) for fold in folds])

    def _unscored(self, folds: Sequence[ScoredFold]) -> NDArray[np.float64]:
        """Return the (B,) AUC of one configuration minus that over the folds and labels that a resample can score."""
        per_fold = []
        for fold, places in zip(folds, self._places, strict=True):
            is_left_out = self._counts[places] == 0
            of_labels = []
            for label in labels_with_both_classes(fold.labels):
                truth = fold.labels[:, label]
                is_scored = is_left_out[truth == 1].any(axis=0) & is_left_out[truth == 0].any(axis=0)
                of_labels.append(np.where(is_scored, auc(fold.scores[0, :, label], truth), np.nan)[None])
            per_fold.append(_mean_without_nan(of_labels))
        return np.asarray(out_of_fold_aucs(folds).values[0] - _mean_without_nan(per_fold)[0])

    def _areas(self, folds: Sequence[ScoredFold], counts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Leave out a fold or a label without both classes in a resample."""
        per_fold = []
        for fold, count in zip(folds, counts, strict=True):
            of_labels = []
            for label in labels_with_both_classes(fold.labels):
                truth = fold.labels[:, label]
                scores = fold.scores[..., label]
                of_labels.append(weighted_areas(scores, truth, count[truth == 1], count[truth == 0]))
            per_fold.append(_mean_without_nan(of_labels))
        return _mean_without_nan(per_fold)


def _mean_without_nan(areas: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    # What is left out is rare, and looking after it takes longer than the mean.
    if len(areas) == 1:
        return areas[0]
    stacked = np.stack(areas)
    is_left_out = np.isnan(stacked)
    if not is_left_out.any():
        return np.asarray(stacked.mean(axis=0))
    counted = (~is_left_out).sum(axis=0)
    stacked[is_left_out] = 0
    return np.where(counted > 0, stacked.sum(axis=0) / np.maximum(counted, 1), np.nan)
