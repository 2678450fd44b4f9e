"""What a database still holds of a study."""

from __future__ import annotations

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.study import Study


def leftovers(database: Database, study: Study) -> dict[str, int]:
    """Count the rows, by table, that refer to a study, or to a trial that there is no more; hpo's and Optuna's."""
    return database.read(lambda connection: _leftovers(connection, study))


def _leftovers(connection: sa.Connection, study: Study) -> dict[str, int]:
    tables, found = sa.MetaData(), {}
    tables.reflect(connection)
    trials = sa.select(tables.tables["trials"].c.trial_id)
    for table in tables.sorted_tables:
        lost = []
        # The id of a deleted study may be that of the next one in SQLite.
        if "study_id" in table.c and not _is_taken(connection, study):
            lost.append(table.c.study_id == study.study_id)
        if "trial_id" in table.c:
            lost.append(table.c.trial_id.not_in(trials))
        count = connection.scalar(sa.select(sa.func.count()).select_from(table).where(sa.or_(*lost))) if lost else 0
        if count:
            found[table.name] = int(count)
    return found


def accesses(database: Database, name: str) -> int:
    """Count the entries of the test-set access log with the name of a study."""
    query = sa.select(sa.func.count()).where(schema.ledger.c.study == name)
    return int(database.read(lambda connection: connection.scalar(query)) or 0)


def _is_taken(connection: sa.Connection, study: Study) -> bool:
    here = (schema.studies.c.study_id == study.study_id) & (schema.studies.c.created_at != study.created_at)
    return bool(connection.scalar(sa.select(sa.func.count()).where(here)))
