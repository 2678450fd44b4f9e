"""The test-set access log, in the study's database."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

import sqlalchemy as sa

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.study.catalogue import key_of_test_set
from hpo.study.stored import JsonObject, parse_object
from hpo.text import timestamp


class StudyLedger:
    """The permanent log of accesses to the test set; implements `hpo.data.sealed.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, study: str, configuration: JsonObject, code_version: str, reason: str) -> int:
        """Log an access and return the number of the entry, which is committed before this returns.

        Raises:
            StorageError: if the database cannot be reached.
            OutputError: if its disk is full.
        """
        token = str(uuid.uuid4())
        entry = sa.insert(schema.ledger).values(
            study=study,
            configuration=json.dumps(configuration, sort_keys=True),
            code_version=code_version,
            time=schema.database_now(),
            reason=reason,
            token=token,
        )
        written = sa.select(schema.ledger.c.entry).where(schema.ledger.c.token == token)

        def write(connection: sa.Connection) -> int:
            # A retry after a lost reply must not log a second access.
            if connection.scalar(written) is None:
                connection.execute(entry)
            return int(connection.scalars(written).one())

        return self._database.write(write)


@dataclass(frozen=True)
class Opening:
    """One entry of the test-set access log.

    Attributes:
        seconds: since 1970, by the database's clock.
        reason: "" for the first access.
    """

    row: int
    study: str
    configuration: JsonObject
    code_version: str
    seconds: float
    reason: str

    @property
    def when(self) -> str:
        """Time of the access, in UTC."""
        return timestamp(self.seconds)


def _configuration(entry: int, text: str) -> JsonObject:
    try:
        return parse_object(text)
    except ValueError as error:
        raise StorageError(f"entry {entry} of the test-set access log cannot be read: {error}") from None


def read_openings(database: Database, dataset: str) -> list[Opening]:
    """Return the accesses to the test set of a dataset that this database has logged, oldest first.

    Raises:
        StorageError: if the database cannot be reached.
    """
    query = sa.select(schema.ledger).order_by(schema.ledger.c.entry)
    rows = database.read(lambda connection: connection.execute(query).all())
    openings = [
        Opening(
            row.entry,
            row.study,
            _configuration(row.entry, row.configuration),
            row.code_version,
            row.time,
            row.reason,
        )
        for row in rows
    ]
    wanted = key_of_test_set(dataset)
    return [one for one in openings if key_of_test_set(str(one.configuration.get("dataset"))) == wanted]
