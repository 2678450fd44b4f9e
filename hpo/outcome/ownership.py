"""Tell whose a final result is: the name of a study can be another one's, once that was renamed or deleted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hpo.errors import DataError, UsageError
from hpo.outcome.final import FinalResult, load
from hpo.outcome.untested import UntestedResult, load_untested
from hpo.search.damaged import read_each
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.ledger import read_openings
from hpo.search.study import Study, former_names, hpo_studies, with_former_names
from hpo.text import timestamp

_ROUNDING = 0.01
"""Seconds by which a server may round a time."""


def is_of(result: FinalResult | UntestedResult, study: Study) -> bool:
    """Return whether a final result is of a study: the youngest that had its name and was there at that time.

    Raises:
        StorageError: if the database cannot be read.
    """
    if result.study not in (study.name, *study.former_names):
        return False
    moment, is_certain = _moment(result, study.database)
    there = [created for created in _created(study.database, result.study) if created <= moment + _ROUNDING]
    # By the clock of another host a result may be older than its study.
    return max(there) == study.created_at if there else not is_certain


def check_free(study: Study, folder: Path) -> None:
    """Check that a folder, which is about to get the final result of a study, does not hold that of another one.

    Raises:
        UsageError: if it holds one.
        StorageError: if the database cannot be read.
    """
    found: list[FinalResult | UntestedResult] = []
    # One that cannot be read is written anew, as one that was interrupted is.
    with suppress(DataError):
        found += [final.result] if (final := load(folder)) is not None else []
    with suppress(DataError):
        found += [untested] if (untested := load_untested(folder)) is not None else []
    for result in found:
        if not is_of(result, study):
            of = "an earlier study" if result.study == study.name else f"study {result.study}"
            raise UsageError(
                f"{folder} holds the final result of {of} of {timestamp(result.time)}, which that of {study.name} "
                "would replace; give --results with another folder, or move that one away"
            )


def _moment(result: FinalResult | UntestedResult, database: Database) -> tuple[float, bool]:
    """Return when a result was made, by the database's clock if that is known, and whether it is."""
    if isinstance(result, UntestedResult):
        return result.time, True
    for opening in read_openings(database, result.dataset):
        if (opening.row, opening.study) == (result.ledger_row, result.study):
            return opening.seconds, True
    return result.time, False


def _created(database: Database, name: str) -> list[float]:
    """Return when each study was created that has a name, or had it before it was renamed."""
    columns = schema.studies.c
    query = hpo_studies(columns.study_id, columns.name, columns.created_at, with_former_names())
    rows, _ = database.read(lambda connection: read_each(connection, query, columns.study_id))
    return [row.created_at for row in rows if name in (row.name, *former_names(row.former_names))]
