"""Draw the figure of a trial or of a study, shown by optuna-dashboard beside its own plots."""

from __future__ import annotations

from hpo.errors import StudyNotFoundError
from hpo.outcome.report.search.evidence import gather_search, gather_trial
from hpo.outcome.report.search.figures import search_overview, trial_overview
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study


def picture(study: Study, number: int | None) -> str:
    """Draw a trial's AUC by epoch and ROC as SVG text; with None, those of the study's best trial and baselines.

    Raises:
        StudyNotFoundError: if there is no such trial.
        StorageError.
    """
    if number is None:
        return search_overview(gather_search(study))
    row = next((row for row in read_trials(study) if row.number == number), None)
    if row is None:
        raise StudyNotFoundError(f"study {study.name} has no trial {number}")
    return trial_overview(gather_trial(study, row))
