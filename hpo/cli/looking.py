"""Open a database or a study for a command that looks once: a user waits for it, so an outage soon ends it."""

from __future__ import annotations

from hpo.errors import StudyNotFoundError, UsageError
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.retry import LOOKING_SECONDS
from hpo.search.queries.listing import list_studies
from hpo.search.study import Study, open_named_study, open_study
from hpo.text import shell

_MOST = 20
"""Names in a message."""


def look_into_database(storage: str | None) -> Database:
    """Open a database that exists.

    Raises:
        StorageError: as `open_database` does.
    """
    return open_database(resolve_address(storage), create=False, outage=LOOKING_SECONDS)


def look_at_study(
    name: str | None, storage: str | None, *, outage: float = LOOKING_SECONDS, number_in: str = ""
) -> Study:
    """Open the study `name`; without a name, the only one of the database, beside its confirmation and other plans.

    Args:
        number_in: command in which a number makes sense, with STUDY and N in it: for who gave a number as the name.

    Raises:
        UsageError: without a name, if there are several, with their names.
        StudyNotFoundError, StorageError: as `open_named_study` does; also without a name, if there is no study.
    """
    if name is not None:
        try:
            return open_named_study(name, storage, outage=outage)
        except StudyNotFoundError as error:
            if not (number_in and name.isdecimal()):
                raise
            meant = number_in.replace("STUDY", _only_name(storage)).replace("N", name)
            raise StudyNotFoundError(f"{error}; did you mean `{meant}`?") from None
    database = open_database(resolve_address(storage), create=False, outage=outage)
    names = _searches(database)
    if not names:
        raise StudyNotFoundError(f"{database.address} has no study yet; create the first with `hpo launch`")
    if len(names) > 1:
        shown = ", ".join(map(shell, names[:_MOST])) + (", ..." if len(names) > _MOST else "")
        raise UsageError(f"there are {len(names)} studies, give the name of one: {shown}; `hpo studies` lists them")
    return open_study(database, names[0])


def _searches(database: Database) -> list[str]:
    """Return the names of all studies but those that belong to another one of them, as its confirmation."""
    rows = list_studies(database)
    found = {row.name for row in rows}
    return [row.name for row in rows if row.search not in found]


def _only_name(storage: str | None) -> str:
    """Return the name of the only study, as a shell takes it, or STUDY if there are others."""
    names = _searches(look_into_database(storage))
    return shell(names[0]) if len(names) == 1 else "STUDY"
