"""List the studies of a database."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.errors import StorageError
from hpo.search.damaged import read_each
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.study import dataset_of, hpo_studies, planned_search


@dataclass(frozen=True)
class StudyRow:
    """One line of the list of studies.

    Attributes:
        search: name of the search that it confirms, ablates or trains the final networks of; None for a search.
        trials: the budget.
        finished: complete, pruned and failed trials.
        created_at: seconds since 1970.
    """

    name: str
    dataset: str
    search: str | None
    trials: int
    finished: int
    created_at: float


def list_studies(database: Database) -> list[StudyRow]:
    """Return all studies of hpo in the database that can be read, oldest first.

    Raises:
        StorageError: if there are some, and none can be read.
    """
    query = hpo_studies(schema.studies).order_by(schema.studies.c.study_id)
    rows, faults = database.read(lambda connection: read_each(connection, query, schema.studies.c.study_id))
    if faults and not rows:
        name, fault = next(iter(faults.items()))
        raise StorageError(f"study {name} cannot be read: {fault}")
    return [
        StudyRow(row.name, dataset_of(row.spec), planned_search(row.spec), row.trials, row.finished, row.created_at)
        for row in rows
    ]
