"""The AUC of a trial's training batches: whether it learned, and kept, anything at all."""

from __future__ import annotations

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.study import Study

LEARNED = 0.6
"""AUC of training batches below which a network ranks nothing: chance is .5, with a standard error of .03 to .05 on the
smallest sets."""

TrainingAucs = dict[int, tuple[float | None, float | None]]
"""Maps a trial to the highest and the last AUC of its training batches."""


def training_aucs(connection: sa.Connection, study: Study) -> TrainingAucs:
    """Read the highest and the last AUC of the training batches of every trial that reported one."""
    columns = schema.reports.c
    per_trial = sa.select(
        columns.trial_number,
        sa.func.max(columns.training_auc).label("highest"),
        sa.func.max(columns.epoch).label("last"),
    )
    ends = per_trial.where(columns.study_id == study.study_id).group_by(columns.trial_number).subquery()
    last = (columns.trial_number == ends.c.trial_number) & (columns.epoch == ends.c.last)
    query = sa.select(ends.c.trial_number, ends.c.highest, columns.training_auc).join(schema.reports, last)
    rows = connection.execute(query.where(columns.study_id == study.study_id))
    return {row.trial_number: (row.highest, row.training_auc) for row in rows if row.highest is not None}


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
