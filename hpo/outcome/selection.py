"""What the best trial of a search is worth, judged by the out-of-fold scores of all its trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.search.queries.scores import OutOfFold, read_out_of_fold
from hpo.search.queries.smoothing import read_smoothed
from hpo.search.queries.trial_rows import CorrectedBest, CorrectedDifference, Ranking
from hpo.search.strategy.smoothing import Smoothed
from hpo.search.study import Study
from hpo.statistics.auc import OneClassError
from hpo.statistics.bbc_cv import Corrected, Selection, Smoother, corrected_selection, selected_place
from hpo.statistics.delong import difference_of_fixed_networks
from hpo.statistics.intervals import Comparison
from hpo.statistics.out_of_fold import out_of_fold_aucs

ENSEMBLE = 5
"""Number of trials whose ranks are averaged for the remark on ensembles."""

_BEST = 3
"""Number of trials that are compared with the baselines."""

UNCORRECTED = (
    "not corrected for having been selected, since a fold has a single sample of a class, which cannot both select a "
    "trial and be left out: fewer folds have more in each, and a confirmation tells what it is worth."
)
"""Why an AUC has no correction; a sentence that begins "Its AUC is"."""


@dataclass(frozen=True)
class Paired:
    """A trial minus a baseline by DeLong's paired test within folds."""

    trial: int
    baseline: str
    comparison: Comparison


@dataclass(frozen=True)
class ScoresJudgement:
    """What the out-of-fold scores of a search say.

    Attributes:
        number: of the best trial that the sampler proposed, by its out-of-fold scores.
        chosen_from: number of such trials.
        best: that trial, corrected for its selection; None if some fold has a single sample of a class, which a
            correction would have to leave out.
        paired: the best trials against each baseline, not corrected for their selection.
        ensemble: numbers of the trials of the ensemble, best first; empty if there are too few, or no correction.
        ensemble_auc: AUC of their averaged ranks, corrected.
        ensemble_gain: that minus the best trial alone.
    """

    number: int
    chosen_from: int
    best: CorrectedBest | None
    paired: list[Paired]
    ensemble: tuple[int, ...]
    ensemble_auc: Corrected | None
    ensemble_gain: Corrected | None


def with_correction(study: Study, ranking: Ranking) -> Ranking:
    """Add to a ranking what its best trial is worth, where the scores of at least two trials are kept.

    Where they do not allow it, the note says why.

    Raises:
        StorageError: if scores cannot be read.
    """
    found = read_scores(study)
    if found is None:
        return ranking
    selection = _selection(found, _rule(found, read_smoothed(study)), ensemble=0, seed=0)
    if selection is None:
        return dataclasses.replace(ranking, note=f"{ranking.note} Its AUC is {UNCORRECTED}".lstrip())
    return dataclasses.replace(ranking, corrected=_corrected_best(found, selection))


def read_scores(study: Study) -> OutOfFold | None:
    """Read the scores of a search; None if fewer than two of its trials, baselines apart, have them.

    Raises:
        StorageError: if they cannot be read.
    """
    if study.spec.plan is not None:
        return None
    found = read_out_of_fold(study)
    return None if found is None or len(found.numbers) - len(found.baselines) < 2 else found


def judge_scores(scores: OutOfFold, smoothed: Smoothed | None = None, seed: int = 0) -> ScoresJudgement:
    """Correct the best trial for its selection, and compare the best with the baselines and with an ensemble.

    Args:
        scores: of at least two trials that are no baselines.
        smoothed: the smoothed AUCs of the study, if it ranks trials by them.
        seed: of the resamples.
    """
    rule, sampled = _rule(scores, smoothed), _sampled(scores)
    selection = _selection(scores, rule, ENSEMBLE, seed)
    place = selected_place(scores.folds, sampled, rule) if selection is None else selection.place
    return ScoresJudgement(
        number=scores.numbers[place],
        chosen_from=len(sampled),
        best=None if selection is None else _corrected_best(scores, selection),
        paired=_paired(scores, place),
        ensemble=() if selection is None else tuple(scores.numbers[member] for member in selection.ensemble),
        ensemble_auc=None if selection is None else selection.ensemble_auc,
        ensemble_gain=None if selection is None else selection.ensemble_gain,
    )


def _selection(scores: OutOfFold, rule: Smoother | None, ensemble: int, seed: int) -> Selection | None:
    """Correct the selection of the best trial; None if a fold has too few samples of a class for it."""
    fixed = [scores.numbers.index(number) for number in scores.baselines.values()]
    try:
        return corrected_selection(scores.folds, _sampled(scores), fixed, ensemble, seed=seed, smoother=rule)
    except OneClassError:
        return None


def _rule(scores: OutOfFold, smoothed: Smoothed | None) -> Smoother | None:
    return None if smoothed is None else _smoother(smoothed, [scores.numbers[place] for place in _sampled(scores)])


def _smoother(smoothed: Smoothed, numbers: Sequence[int]) -> Smoother:
    """Return the smoother of the trials with these numbers; one that has ended since then keeps its own AUC."""
    places = {number: place for place, number in enumerate(smoothed.numbers)}
    known = [place for place, number in enumerate(numbers) if number in places]
    own = [places[numbers[place]] for place in known]
    values, derivatives = np.full(len(numbers), np.nan), np.zeros((len(numbers), len(numbers)))
    values[known] = smoothed.values[own]
    derivatives[np.ix_(known, known)] = smoothed.derivatives[np.ix_(own, own)]
    return Smoother(values, derivatives)


def _sampled(scores: OutOfFold) -> list[int]:
    """Return the places of the trials that the sampler proposed."""
    fixed = set(scores.baselines.values())
    return [place for place, number in enumerate(scores.numbers) if number not in fixed]


def _corrected_best(scores: OutOfFold, selection: Selection) -> CorrectedBest:
    differences = []
    for name, number in scores.baselines.items():
        found = selection.differences[scores.numbers.index(number)]
        differences.append(CorrectedDifference(name, found.naive, found.corrected, found.low, found.high))
    auc = selection.auc
    return CorrectedBest(
        number=scores.numbers[selection.place],
        chosen_from=len(_sampled(scores)),
        missing=scores.missing,
        auc=auc.naive,
        corrected=auc.corrected,
        low=auc.low,
        high=auc.high,
        optimism=auc.optimism,
        differences=differences,
        resamples=selection.resamples,
    )


def _paired(scores: OutOfFold, selected: int) -> list[Paired]:
    """Compare the selected trial, and those with the highest AUCs, with the baselines."""
    places = _sampled(scores)
    values = out_of_fold_aucs([fold.of(places) for fold in scores.folds]).values
    highest = [places[row] for row in np.argsort(-values, kind="stable")]
    best = [selected, *(place for place in highest if place != selected)][:_BEST]
    return [
        Paired(scores.numbers[place], name, _difference(scores, (place, scores.numbers.index(number))))
        for place in best
        for name, number in scores.baselines.items()
    ]


def _difference(scores: OutOfFold, places: Sequence[int]) -> Comparison:
    metrics = out_of_fold_aucs([fold.of(places) for fold in scores.folds])
    one, other = (
        dataclasses.replace(metrics, values=metrics.values[[row]], influences=metrics.influences[[row]])
        for row in (0, 1)
    )
    return difference_of_fixed_networks(one, other)
