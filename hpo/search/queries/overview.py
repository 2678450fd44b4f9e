"""Read the list of a database's studies, with their states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.schema import database_now
from hpo.search.study import dataset_of, hpo_studies, planned_search

State = Literal["running", "done", "unfinished"]


@dataclass(frozen=True)
class StudyOverview:
    """One study of a database.

    Attributes:
        search: name of the search that it confirms, ablates or trains the final networks of; None for a search.
        trials: the budget.
        finished: complete, pruned and failed trials.
        running: trials that workers hold.
        best_auc: highest validation AUC of a complete trial.
        created_at: seconds since 1970.
    """

    name: str
    dataset: str
    search: str | None
    trials: int
    finished: int
    running: int
    best_auc: float | None
    created_at: float

    @property
    def state(self) -> State:
        """Whether workers hold trials of it, else whether all trials are finished."""
        if self.running:
            return "running"
        return "done" if self.finished >= self.trials else "unfinished"


@dataclass(frozen=True)
class Overview:
    """All studies of a database. others: names of studies in Optuna's tables that hpo did not create."""

    studies: list[StudyOverview]
    others: list[str]


def read_overview(database: Database) -> Overview:
    """Read all studies, oldest first."""
    studies, trials = schema.studies.c, schema.trials.c
    is_held = (trials.state == "claimed") & (trials.lease_until >= database_now())
    per_study = sa.select(
        trials.study_id,
        sa.func.sum(sa.case((is_held, 1), else_=0)).label("running"),
        sa.func.max(sa.case((trials.outcome == "complete", trials.auc))).label("best"),
    ).group_by(trials.study_id)
    own = hpo_studies(schema.studies).order_by(studies.study_id)
    every = sa.select(schema.optuna_studies.c.study_id, schema.optuna_studies.c.study_name)

    def read(connection: sa.Connection) -> Overview:
        found = connection.execute(own).all()
        counted = {row.study_id: row for row in connection.execute(per_study)}
        ids = {row.study_id for row in found}
        others = [
            row.study_name
            for row in connection.execute(every.order_by(every.selected_columns.study_id))
            if row.study_id not in ids
        ]
        return Overview([_overview(row, counted.get(row.study_id)) for row in found], others)

    return database.read(read)


def _overview(row: schema.AnyRow, counted: schema.AnyRow | None) -> StudyOverview:
    return StudyOverview(
        name=row.name,
        dataset=dataset_of(row.spec),
        search=planned_search(row.spec),
        trials=row.trials,
        finished=row.finished,
        running=int(counted.running or 0) if counted is not None else 0,
        best_auc=counted.best if counted is not None else None,
        created_at=row.created_at,
    )
