"""The report's figures of a search one by one, as Matplotlib figures of a study's present state."""

from __future__ import annotations

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.report.drawing import ReportFigure
from hpo.outcome.report.search import figures
from hpo.outcome.report.search.effects import choice_effects
from hpo.outcome.report.search.evidence import SearchEvidence, gather_search, gather_trial
from hpo.search.queries.importance import LEAST_TRIALS
from hpo.search.queries.importance import importances as estimate_importances
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study


def history(study: Study) -> ReportFigure:
    """Plot each trial's AUC by trial number, the best so far, and the baselines. Raises UsageError before there are."""
    return figures.history.figure(_gathered(study))


def curves(study: Study) -> ReportFigure:
    """Plot every trial's validation AUC by epoch. Raises UsageError before the first trial has ended."""
    return figures.curves.figure(_gathered(study))


def overfitting(study: Study) -> ReportFigure:
    """Plot training against validation AUC. Raises UsageError before the first trial has ended."""
    return figures.overfitting.figure(_gathered(study))


def rocs(study: Study) -> ReportFigure:
    """Plot the ROC of best trial and baselines. Raises UsageError before the first trial is complete."""
    search = _gathered(study)
    if not search.named:
        raise UsageError(f"study {study.name} has no complete trial yet; train more trials first")
    return figures.rocs.figure(search)


def importances(study: Study, seed: int = 0) -> ReportFigure:
    """Plot each setting's share of the variance of AUC.

    Raises:
        UsageError: if too few trials reached the same epoch to estimate it.
    """
    search = _gathered(study)
    comparable = [(trial.config, auc) for trial, auc in search.comparable if not trial.row.reference]
    if len(comparable) < LEAST_TRIALS:
        raise UsageError(
            f"study {study.name} has {len(comparable)} trials to compare, and importances need {LEAST_TRIALS}; "
            "train more trials first"
        )
    configs, aucs = zip(*comparable, strict=True)
    found = estimate_importances(search.spec, configs, aucs, seed=seed)
    if not found:
        raise UsageError(f"the trials of study {study.name} do not differ, so there is no importance to estimate")
    return figures.importance_bars.figure(found)


def slices(study: Study) -> ReportFigure:
    """Plot AUC against each searched setting. Raises UsageError before there are trials."""
    return figures.slices.figure(_searched(study))


def choices(study: Study) -> ReportFigure:
    """Plot mean AUC for each choice of each setting.

    Raises:
        UsageError: if no setting has two choices with enough trials.
    """
    search = _searched(study)
    effects = choice_effects(search)
    if not effects:
        raise UsageError(f"study {study.name} has too few trials of each choice to compare; train more first")
    return figures.choices.figure(effects, search.shared_epoch)


def trial(study: Study, number: int) -> ReportFigure:
    """Plot one trial's AUC by epoch, and its ROC. Raises StudyNotFoundError if there is no such trial."""
    row = next((row for row in read_trials(study) if row.number == number), None)
    if row is None:
        raise StudyNotFoundError(f"study {study.name} has no trial {number}")
    return figures.trial_overview.figure(gather_trial(study, row))


def _gathered(study: Study) -> SearchEvidence:
    search = gather_search(study)
    if not any(trial.curve for trial in search.trials):
        raise UsageError(f"study {study.name} has no finished trial to draw yet; train trials first")
    return search


def _searched(study: Study) -> SearchEvidence:
    search = _gathered(study)
    if not search.spec.space:
        raise UsageError(f"study {study.name} searches no setting; draw those of the search that it is of")
    return search
