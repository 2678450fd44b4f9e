"""What the reports of a trial tell beside its AUC: whether it learned, and kept, anything, and on how many folds."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study

LEARNED = 0.6
"""AUC of training batches below which a network ranks nothing: chance is .5, with a standard error of .03 to .05 on the
smallest sets."""


@dataclass(frozen=True)
class Reported:
    """What a trial has reported.

    Attributes:
        highest: highest AUC of its training batches, None if unknown.
        last: AUC of its training batches after its last epoch, None if unknown.
        folds: number of folds on which the report of its last epoch rests; 0 without a report.
    """

    highest: float | None = None
    last: float | None = None
    folds: int = 0


Reports = dict[int, Reported]
"""By number of the trial."""


def read_reported(connection: sa.Connection, study: Study) -> Reports:
    """Read what every trial has reported; trials without a report are omitted."""
    columns = schema.reports.c
    per_trial = sa.select(
        columns.trial_number,
        sa.func.max(columns.training_auc).label("highest"),
        sa.func.max(columns.epoch).label("last"),
    )
    ends = per_trial.where(columns.study_id == study.study_id).group_by(columns.trial_number).subquery()
    last = (columns.trial_number == ends.c.trial_number) & (columns.epoch == ends.c.last)
    query = sa.select(ends.c.trial_number, ends.c.highest, columns.training_auc, columns.fold_aucs)
    query = query.join(schema.reports, last)
    rows = connection.execute(query.where(columns.study_id == study.study_id))
    return {
        # Counted by commas: this is read for every trial of a study, and its numbers are not needed.
        row.trial_number: Reported(row.highest, row.training_auc, row.fold_aucs.count(",") + 1)
        for row in rows
    }


def warning_of(highest: float | None, last: float | None) -> str:
    """Return the warning that a trial's AUC is due to chance, if at its end it ranks not even its training set."""
    if highest is None:
        return ""
    if highest < LEARNED:
        return f"has learned nothing (AUC of its training batches at most {highest:.2f}), its AUC is due to chance"
    if last is not None and last < LEARNED:
        return (
            f"has unlearned what it had learned (AUC of its training batches up to {highest:.2f}, at its end {last:.2f}"
            "), its AUC is due to chance or to an earlier epoch"
        )
    return ""
