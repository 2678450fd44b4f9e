"""Read the list of a database's studies, with their states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from hpo.errors import first_line
from hpo.search.damaged import as_stored, as_text, read_each
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.schema import database_now
from hpo.search.queries.listing import StudyRow
from hpo.search.study import dataset_of, hpo_studies, planned_search
from hpo.study.stored import parse_object

State = Literal["running", "done", "unfinished"]


@dataclass(frozen=True)
class StudyOverview(StudyRow):
    """One study of a database, with what workers do and have reached.

    Attributes:
        running: trials that workers hold.
        best_auc: highest validation AUC of a complete trial.
    """

    running: int
    best_auc: float | None

    @property
    def state(self) -> State:
        """Whether workers hold trials of it, else whether all trials are finished."""
        if self.running:
            return "running"
        return "done" if self.finished >= self.trials else "unfinished"


@dataclass(frozen=True)
class Overview:
    """All studies of a database.

    Attributes:
        others: names of studies in Optuna's tables that hpo did not create.
        damaged: what is wrong with studies that cannot be opened, by name; of some, nothing can be shown.
    """

    studies: list[StudyOverview]
    others: list[str]
    damaged: dict[str, str]


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
    theirs = schema.optuna_studies.c

    def read(connection: sa.Connection) -> Overview:
        found, faults = read_each(connection, own, studies.study_id)
        counts, faults_of_trials = read_each(connection, per_study, trials.study_id)
        counted = {row.study_id: row for row in counts}
        ids = set(connection.scalars(hpo_studies(studies.study_id)))
        names = sa.select(theirs.study_id, as_stored(connection, theirs.study_name)).order_by(theirs.study_id)
        others = [as_text(name) for study_id, name in connection.execute(names) if study_id not in ids]
        specs = {row.name: fault for row in found if (fault := _fault_of(row.spec))}
        listed = [_overview(row, counted.get(row.study_id)) for row in found]
        return Overview(listed, others, {**faults_of_trials, **specs, **faults})

    return database.read(read)


def _fault_of(spec: str) -> str:
    """Return why a stored spec cannot be read; "" if it can, by this version of hpo or another."""
    try:
        parse_object(spec)
    except ValueError as error:
        return f"its spec is not JSON: {first_line(error)}"
    return ""


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
