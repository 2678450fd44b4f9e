"""The ledger of openings of the test rows, in the study's database."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from hpo.search import tables
from hpo.search.storage import Database


class StudyLedger:
    """Writes openings down, for good; a `Ledger` as `hpo.data.sealed` wants it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, study: str, configuration: dict[str, Any], code_version: str, reason: str) -> int:
        """Number of the entry, committed before this returns. Raises StorageError, OutputError."""
        entry = sa.insert(tables.ledger).values(
            study=study,
            configuration=json.dumps(configuration, sort_keys=True),
            code_version=code_version,
            time=tables.database_now(),
            reason=reason,
        )
        key = self._database.write(lambda connection: connection.execute(entry).inserted_primary_key)
        assert key is not None
        return int(key[0])
