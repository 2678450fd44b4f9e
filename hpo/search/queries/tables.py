"""Trials as tables with a column for each value, for pandas and CSV files."""

from __future__ import annotations

from typing import Any

from hpo.search.queries.status import StudyStatus
from hpo.search.queries.trial_rows import Ranking
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study
from hpo.study.config import settings

TableRow = dict[str, Any]
"""Values by column, the same columns in every row of a table."""

TRIAL_COLUMNS = (
    *("number", "state", "auc", "standard_error", "epochs", "folds", "training_auc", "reference", "start"),
    *("candidate", "repeat", "network", "started", "ended", "seconds", "peak_memory", "worker", "reason"),
)
RANKED_COLUMNS = (
    *("rank", "number", "auc", "standard_error", "low", "high", "smoothed", "training_auc", "reference", "start"),
    *("candidate", "repeat"),
)
TIMES = ("started", "ended")
"""Columns of seconds since 1970."""

_NUMBERS = (
    *("number", "auc", "standard_error", "epochs", "folds", "training_auc", "repeat", "network", "seconds"),
    "peak_memory",
)
"""Columns of `trial_rows` that hold numbers in every study, besides those of times."""


def trial_columns(study: Study) -> tuple[str, ...]:
    """Return the columns of `trial_rows`: `TRIAL_COLUMNS`, and params_NAME for each searched setting."""
    return (*TRIAL_COLUMNS, *(f"params_{name}" for name in study.spec.space))


def ranked_columns(study: Study) -> tuple[str, ...]:
    """Return the columns of `ranked_rows`: `RANKED_COLUMNS`, and params_NAME for each searched setting."""
    return (*RANKED_COLUMNS, *(f"params_{name}" for name in study.spec.space))


def number_columns(study: Study) -> tuple[str, ...]:
    """Return the columns of `trial_rows` that hold numbers, besides those of times."""
    known = settings()
    numeric = [name for name in study.spec.space if name in known and known[name].kind in (int, float)]
    return (*_NUMBERS, *(f"params_{name}" for name in numeric))


def trial_rows(study: Study) -> list[TableRow]:
    """Return a row for each trial, by number; a setting that has no effect in a trial is None.

    `auc` and `training_auc` are those of the last report.
    """
    return [
        {name: getattr(trial, name) for name in TRIAL_COLUMNS}
        | {f"params_{name}": trial.params.get(name) for name in study.spec.space}
        for trial in read_trials(study)
    ]


def ranked_rows(study: Study, ranking: Ranking) -> list[TableRow]:
    """Return a row for each trial of a ranking, best first: AUC with its 95 % interval, and searched settings.

    `auc` and `training_auc` are those of the last report, as in `trial_rows`.
    """
    return [
        {
            "rank": trial.rank,
            "number": trial.value.number,
            "auc": trial.value.auc,
            "standard_error": trial.value.standard_error,
            "low": trial.value.low,
            "high": trial.value.high,
            "smoothed": trial.smoothed,
            "training_auc": trial.training_auc,
            "reference": trial.value.reference,
            "start": trial.start,
            "candidate": trial.candidate,
            "repeat": trial.repeat,
        }
        | {f"params_{name}": trial.params.get(name) for name in study.spec.space}
        for trial in ranking.trials
    ]


def status_row(status: StudyStatus) -> TableRow:
    """Return the status of a study as one row: trials by state, and the best with its 95 % interval."""
    best = status.best
    return {
        "name": status.name,
        "dataset": status.dataset,
        "budget": status.budget,
        "finished": status.finished,
        "complete": status.complete,
        "pruned": status.pruned,
        "failed": status.failed,
        "running": len(status.running),
        "free": status.free,
        "best_number": None if best is None else best.number,
        "best_auc": None if best is None else best.auc,
        "best_standard_error": None if best is None else best.standard_error,
        "best_low": None if best is None else best.low,
        "best_high": None if best is None else best.high,
        "trials_per_hour": status.trials_per_hour,
        "seconds_left": status.seconds_left,
    }
