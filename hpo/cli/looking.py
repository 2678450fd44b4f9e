"""Open a database or a study for a command that looks once: a user waits for it, so an outage soon ends it."""

from __future__ import annotations

from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.retry import LOOKING_SECONDS
from hpo.search.study import Study, open_named_study


def look_into_database(storage: str | None) -> Database:
    """Open a database that exists, that exists.

    Raises:
        StorageError: as `open_database` does.
    """
    return open_database(resolve_address(storage), create=False, outage=LOOKING_SECONDS)


def look_at_study(name: str, storage: str | None) -> Study:
    """Open the study `name`.

    Raises:
        StudyNotFoundError, StorageError: as `open_named_study` does.
    """
    return open_named_study(name, storage, outage=LOOKING_SECONDS)
