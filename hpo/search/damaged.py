"""Read rows around those for which SQLite, which stores anything, holds what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StorageError, first_line
from hpo.search.database import schema
from hpo.search.database.schema import AnyRow
from hpo.search.study import hpo_studies


def read_each(
    connection: Connection, query: sa.Select[Any], study_id: sa.ColumnElement[Any]
) -> tuple[Sequence[AnyRow], dict[str, str]]:
    """Return the rows of a query over all studies, without those of studies for which SQLite holds what cannot be read.

    Args:
        study_id: the column of the query that has the study's id.

    Returns:
        The rows, and what is wrong with the others, by the names of their studies.
    """
    unreadable = (StorageError, sa.exc.OperationalError)
    try:
        return connection.execute(query).all(), {}
    except unreadable:
        if connection.dialect.name != "sqlite":
            raise
    columns = schema.studies.c
    rows: list[AnyRow] = []
    faults: dict[str, str] = {}
    names: Sequence[AnyRow] = connection.execute(
        hpo_studies(columns.study_id, as_stored(connection, columns.name))
    ).all()
    for found, name in names:
        try:
            rows += connection.execute(query.where(study_id == found)).all()
        except unreadable as error:
            cause = error.orig if isinstance(error, sa.exc.OperationalError) and error.orig else error
            faults[as_text(name)] = first_line(cause)
    return rows, faults


def as_stored(connection: Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Select a column so that it can be read whatever SQLite, which stores anything, holds in its place: `as_text`."""
    return sa.cast(column, sa.LargeBinary).label(column.key) if connection.dialect.name == "sqlite" else column


def as_text(stored: object) -> str:
    """Return what `as_stored` selected as text; "" for NULL."""
    return stored.decode(errors="replace") if isinstance(stored, bytes) else "" if stored is None else str(stored)
