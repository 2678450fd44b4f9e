"""Open and find the studies of a database, and parse what is stored of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection, Row

from hpo.errors import StorageError, StudyNotFoundError, UsageError, did_you_mean, first_line
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.retry import OUTAGE_SECONDS
from hpo.study.record import TrialRecord
from hpo.study.spec import StudySpec, unregistered
from hpo.study.stored import parse_json, parse_object

LEASE_SECONDS = 180.0
"""Seconds until the lease of a worker without a heartbeat expires: it must survive a database outage of two minutes."""

_SAME = schema.studies.alias("same")

T = TypeVar("T")


@dataclass(frozen=True)
class Study:
    """An open study.

    Attributes:
        created_at: seconds since 1970.
        lease: seconds until the lease of a worker without a heartbeat expires.
        former_names: names that it had before it was renamed, oldest first.
        fingerprint: as stored when it was opened.
        first_trials: number of trials that it was created with; of a planned one, that it had when its first ended.
    """

    database: Database
    study_id: int
    name: str
    spec: StudySpec
    created_at: float
    lease: float = LEASE_SECONDS
    former_names: tuple[str, ...] = ()
    fingerprint: str = ""
    first_trials: int = 0

    def __reduce__(self) -> tuple[type[Study], tuple[object, ...]]:
        """Pickle its fields; what it remembers of queries is made again."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def folder(self) -> str:
        """Name for this study's own folder: readable, and different for each study that ever had this name.

        It stays the same when the study is renamed.
        """
        first = self.former_names[0] if self.former_names else self.name
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in first)[:60]
        digest = hashlib.sha256(f"{first}:{self.created_at!r}".encode()).hexdigest()[:8]
        return f"{readable.lstrip('.')}-{digest}"

    def trial_name(self, number: int) -> str:
        """Return the name of a trial for messages."""
        return f"trial {number} of study {self.name}"

    def write(self, work: Callable[[Connection], T]) -> T:
        """Write to the database as `Database.write` does.

        Raises:
            StudyNotFoundError: if rows that belong to the study cannot be written because it has been deleted.
        """
        try:
            return self.database.write(work)
        except sa.exc.IntegrityError as error:
            # The row refers to a study that is gone, unless the statement is wrong.
            here = hpo_studies(schema.studies.c.study_id).where(*self.is_there())
            if self.database.read(lambda connection: connection.scalar(here)) is None:
                raise self.deleted() from error
            raise

    def is_there(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Return the conditions under which a row of `hpo_studies` is this study."""
        here = schema.studies.c
        # SQLite gives the id of a deleted study to the next one, which may have the same name, too.
        return here.study_id == self.study_id, here.name == self.name, here.created_at == self.created_at

    def is_in_optuna(self, connection: Connection) -> tuple[sa.ColumnElement[bool], ...]:
        """Return the conditions under which a row with this study's id is the study's, and Optuna still has the study.

        None on a server, which reuses no id and deletes what refers to a deleted row. In SQLite, Optuna does not
        enforce foreign keys, so what it deletes leaves hpo's rows behind.
        """
        return self._in_optuna if connection.dialect.name == "sqlite" else ()

    @cached_property
    def _in_optuna(self) -> tuple[sa.ColumnElement[bool], ...]:
        # Part of each statement of a worker, and a quarter of the time that it takes to build one.
        theirs, own = schema.optuna_studies.c, _SAME.c
        return (
            sa.exists().where(theirs.study_id == self.study_id, theirs.study_name == self.name),
            sa.exists().where(own.study_id == self.study_id, own.created_at == self.created_at),
        )

    def deleted(self) -> StudyNotFoundError:
        """Return the error for a study that has been deleted or renamed since it was opened."""
        return StudyNotFoundError(f"study {self.name} has been deleted from {self.database.address}, or renamed")


def open_study(database: Database, name: str, *, lease: float = LEASE_SECONDS) -> Study:
    """Open the study `name`.

    Raises:
        StudyNotFoundError: if there is none, with the closest name.
        UsageError: if a plug-in that it uses is missing.
        StorageError: if its spec cannot be read.
    """

    def find(connection: Connection) -> Row[tuple[object, ...]]:
        row = _row(connection, name)
        if row is None:
            names = [str(other) for other in connection.execute(hpo_studies(schema.studies.c.name)).scalars()]
            hint = did_you_mean(name, names) if names else "; it has no studies yet"
            raise StudyNotFoundError(f"{database.address} has no study {name}{hint}")
        return row

    row = database.read(find)
    spec = read_spec(name, row.spec, row.code_version)
    first_trials = spec.budget.trials
    budget = spec.budget.model_copy(update={"trials": row.trials})
    spec = spec.model_copy(update={"budget": budget})
    before = former_names(row.former_names)
    return Study(database, row.study_id, name, spec, row.created_at, lease, before, row.fingerprint, first_trials)


def read_spec(name: str, text: str, code_version: str) -> StudySpec:
    """Parse the stored spec of the study `name`.

    Raises:
        UsageError: if a plug-in that it uses is missing.
        StorageError: if it cannot be read.
    """
    try:
        missing = unregistered(parse_object(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"study {name} has a spec that cannot be read: {first_line(error)[:200]}") from None
    if missing:
        raise missing_plugins(name, missing)
    try:
        return StudySpec.from_json(text)
    except ValidationError as error:
        raise StorageError(
            f"study {name} was stored by another version of hpo ({code_version or 'unknown'}): {error}"
        ) from None


def missing_plugins(name: str, missing: list[str]) -> UsageError:
    """Return the error for a study that uses what this process has not registered, see `unregistered`."""
    return UsageError(
        f"study {name} uses {', '.join(missing)}, unknown here; install or import the plug-in that provides it"
    )


def dataset_of(spec: str) -> str:
    """Return the dataset in a stored spec; `?` if it cannot be read."""
    try:
        return str(parse_object(spec)["dataset"])
    except (ValueError, KeyError):
        return "?"


def planned_search(spec: str) -> str | None:
    """Return the search that a stored spec confirms or ablates; None for a search, and if it cannot be read."""
    try:
        plan = parse_object(spec).get("plan")
    except ValueError:
        return None
    return str(plan["search"]) if isinstance(plan, dict) and "search" in plan else None


def fold_aucs(text: str, trial: str) -> tuple[float, ...]:
    """Parse the AUC of each fold as stored. Raises StorageError, naming the trial, if it cannot be read."""
    try:
        found = parse_json(text)
    except ValueError as error:
        raise StorageError(f"{trial} has a report that is not JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(value, (int, float)) for value in found):
        raise StorageError(f"{trial} has a report whose folds are not numbers")
    return tuple(float(value) for value in found if isinstance(value, (int, float)))


def open_named_study(name: str, storage: str | None = None, *, outage: float = OUTAGE_SECONDS) -> Study:
    """Open the study `name` in the database that `storage` names.

    Args:
        storage: as for `--storage`; None for $HPO_STORAGE, else hpo.sqlite3 in the current folder.
        outage: seconds for which to retry while the database does not answer; LOOKING_SECONDS where a user waits.

    Raises:
        StudyNotFoundError: if there is none, with the closest name.
        StorageError: if the address is invalid, or the database or the study's spec cannot be read.
    """
    return open_study(open_database(resolve_address(storage), create=False, outage=outage), name)


def find_study(database: Database, study_id: int) -> Study:
    """Open a study by its id in Optuna's tables.

    Raises:
        StudyNotFoundError: if there is none, or hpo did not create it.
    """
    name = find_name(database, study_id)
    if name is None:
        raise StudyNotFoundError(f"{database.address} has no hpo study with id {study_id}")
    return open_study(database, name)


def find_name(database: Database, study_id: int) -> str | None:
    """Return the name of a study by its id in Optuna's tables; None if there is none, or hpo did not create it."""
    query = hpo_studies(schema.studies.c.name).where(schema.studies.c.study_id == study_id)
    name = database.read(lambda connection: connection.scalar(query))
    return None if name is None else str(name)


def unfinished(study: Study) -> set[int]:
    """Return the numbers of the trials that have started but not finished."""
    trials = schema.trials.c
    query = sa.select(trials.trial_number).where(
        trials.study_id == study.study_id, trials.state.in_(("claimed", "free"))
    )
    return study.database.read(lambda connection: set(connection.scalars(query)))


def attempt_names(study: Study, numbers: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Return the names of the attempts at trials, see `TrialRecord`; no entry for a trial that the study has not."""
    if not numbers:
        return {}
    trials = schema.trials.c
    here = (trials.study_id == study.study_id) & trials.trial_number.in_(sorted(numbers))
    query = sa.select(trials.trial_number, trials.record).where(here, trials.record.is_not(None))
    found = {}
    for row in study.database.read(lambda connection: connection.execute(query).all()):
        # What a worker removes is not worth ending it: a record that is damaged is told where it is shown.
        with contextlib.suppress(StorageError):
            record = TrialRecord.from_json(row.record, study.trial_name(row.trial_number))
            found[row.trial_number] = record.attempt_names or ()
    return found


def former_names(stored: str | None) -> tuple[str, ...]:
    """Return the former names of a study, given the JSON text of `with_former_names`."""
    try:
        names = parse_json(stored or "[]")
    except ValueError:
        names = []
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def with_former_names() -> sa.Label[Any]:
    """Select what is stored of the former names of a study of `hpo_studies`, as `former_names`."""
    attributes = schema.optuna_study_attributes.c
    here = (attributes.study_id == schema.studies.c.study_id) & (attributes.key == schema.FORMER_NAMES)
    return sa.select(attributes.value_json).where(here).scalar_subquery().label("former_names")


def hpo_studies(*columns: sa.ColumnElement[object] | sa.FromClause) -> sa.Select[tuple[object, ...]]:
    """Select columns of hpo's studies that still exist in Optuna's tables."""
    # Compare the name too: SQLite reuses the id of a deleted study.
    same = (schema.optuna_studies.c.study_id == schema.studies.c.study_id) & (
        schema.optuna_studies.c.study_name == schema.studies.c.name
    )
    return sa.select(*columns).select_from(schema.studies.join(schema.optuna_studies, same))


def _row(connection: Connection, name: str) -> Row[tuple[object, ...]] | None:
    """Return the row of the study of exactly this name."""
    query = hpo_studies(schema.studies, with_former_names()).where(schema.studies.c.name == name)
    rows = connection.execute(query) if is_text(name) else ()
    # MySQL compares by the collation of the column, for which `Same` and `same`, or two emoji, may be equal.
    return next((row for row in rows if row.name == name), None)


def is_text(name: str) -> bool:
    """Return whether a database could hold a name: text without lone surrogates and NUL."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in name
