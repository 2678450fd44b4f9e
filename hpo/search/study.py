"""A study in a database: created, taken up, opened, listed."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection, Row

from hpo.errors import StorageError, StudyConflictError, StudyNotFoundError, UsageError, did_you_mean
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import new_study
from hpo.study.spec import StudySpec, differences, unregistered

LEASE_SECONDS = 180.0
"""How long a worker keeps its trial without a sign of life, in seconds: two minutes of a silent database, and some."""

METRIC = "validation AUC"
MAX_NAME = 200


@dataclass(frozen=True)
class Study:
    """A study as a worker or a reader holds it.

    created_at: seconds since 1970. lease: seconds a worker keeps a trial without a sign of life.
    """

    database: Database
    study_id: int
    name: str
    spec: StudySpec
    created_at: float
    lease: float = LEASE_SECONDS

    @property
    def folder(self) -> str:
        """A name for a folder of this study's own: readable, and another for each study that ever had its name."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.name)[:60]
        born = hashlib.sha256(f"{self.name}:{self.created_at!r}".encode()).hexdigest()[:8]
        return f"{readable.lstrip('.')}-{born}"

    def trial_name(self, number: int) -> str:
        """Return what one of its trials is called in messages."""
        return f"trial {number} of study {self.name}"


@dataclass(frozen=True)
class StudyRow:
    """One line of the list of studies. created_at: seconds since 1970; trials: the budget."""

    name: str
    dataset: str
    trials: int
    finished: int
    created_at: float


def create_or_open(
    database: Database, name: str, spec: StudySpec, *, code_version: str = "", lease: float = LEASE_SECONDS
) -> Study:
    """The study `name`, made if it is not there; if it is, its number of trials becomes that of `spec`.

    Safe if several processes do it at once. Raises StudyConflictError if it exists with another spec, or as a study
    that is not hpo's; UsageError if the name is empty or too long.
    """
    check_name(name)
    try:
        return _take_up(database, name, spec, lease)
    except StudyNotFoundError:
        pass
    from optuna.exceptions import DuplicatedStudyError

    database.check_optuna()
    with contextlib.suppress(DuplicatedStudyError):
        database.write(lambda connection: _create(connection, name, spec, code_version))
    try:
        return _take_up(database, name, spec, lease)
    except StudyNotFoundError:
        raise StudyConflictError(
            f"{database.address} has an Optuna study {name} that hpo did not make; give another --name"
        ) from None


def open_study(database: Database, name: str, *, lease: float = LEASE_SECONDS) -> Study:
    """The study `name`.

    Raises StudyNotFoundError with the nearest name, UsageError if a plug-in that it uses is not there, StorageError if
    its spec cannot be read.
    """
    with database.reading() as connection:
        row = _row(connection, name)
        if row is None:
            names = [str(other) for other in connection.execute(hpo_studies(schema.studies.c.name)).scalars()]
            hint = did_you_mean(name, names) if names else "; it holds no study yet"
            raise StudyNotFoundError(f"{database.address} has no study {name}{hint}")
    if missing := unregistered(json.loads(row.spec)):
        raise UsageError(
            f"study {name} uses {', '.join(missing)}, unknown here; install or import the plug-in that it was made with"
        )
    try:
        spec = StudySpec.model_validate_json(row.spec)
    except ValidationError as error:
        raise StorageError(
            f"study {name} was stored by another version of hpo ({row.code_version or 'unknown'}): {error}"
        ) from None
    budget = spec.budget.model_copy(update={"trials": row.trials})
    return Study(database, row.study_id, name, spec.model_copy(update={"budget": budget}), row.created_at, lease)


def open_named_study(name: str, storage: str | None = None) -> Study:
    """Open the study `name` in the database that `storage` names.

    Args:
        storage: as `--storage` takes it; None for $HPO_STORAGE, else hpo.sqlite3 in the current folder.

    Raises:
        StudyNotFoundError: with the nearest name.
        StorageError: if the address is wrong, or the database or the study's spec cannot be read.
    """
    return open_study(open_database(resolve_address(storage), create=False), name)


def list_studies(database: Database) -> list[StudyRow]:
    """All studies of hpo in the database, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(hpo_studies(schema.studies).order_by(schema.studies.c.study_id)).all()
    return [
        StudyRow(row.name, json.loads(row.spec)["dataset"], row.trials, row.finished, row.created_at) for row in rows
    ]


def find_study(database: Database, study_id: int) -> Study:
    """A study by its number in Optuna's tables. Raises StudyNotFoundError if it is not there or not one of hpo."""
    with database.reading() as connection:
        name = connection.scalar(hpo_studies(schema.studies.c.name).where(schema.studies.c.study_id == study_id))
    if name is None:
        raise StudyNotFoundError(f"{database.address} has no study of hpo with number {study_id}")
    return open_study(database, str(name))


def unfinished(study: Study) -> set[int]:
    """Numbers of the trials that have begun and not ended."""
    trials = schema.trials.c
    query = sa.select(trials.trial_number).where(
        trials.study_id == study.study_id, trials.state.in_(("claimed", "free"))
    )
    return study.database.read(lambda connection: set(connection.scalars(query)))


def check_name(name: str) -> None:
    """Raises UsageError if no study may be called so."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise UsageError(f"--name {name!r}: give a name of printable characters, with no blank at either end")
    if len(name) > MAX_NAME:
        raise UsageError(f"--name has {len(name)} characters; at most {MAX_NAME} are kept")


def hpo_studies(*columns: sa.ColumnElement[object] | sa.FromClause) -> sa.Select[tuple[object, ...]]:
    # The name is compared too: SQLite gives the number of a deleted study to the next one.
    same = (schema.optuna_studies.c.study_id == schema.studies.c.study_id) & (
        schema.optuna_studies.c.study_name == schema.studies.c.name
    )
    return sa.select(*columns).select_from(schema.studies.join(schema.optuna_studies, same))


def _row(connection: Connection, name: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(hpo_studies(schema.studies).where(schema.studies.c.name == name)).one_or_none()


def _take_up(database: Database, name: str, spec: StudySpec, lease: float) -> Study:
    stored = open_study(database, name, lease=lease)
    if stored.spec.plan is not None and spec.plan is None:
        search = stored.spec.plan.search
        raise StudyConflictError(
            f"study {name} is the confirmation of {search}; `hpo confirm {search}` goes on with it, and a larger "
            f"--seeds makes it longer"
        )
    if lines := differences(stored.spec.canonical(), spec.canonical()):
        raise StudyConflictError(
            "\n  ".join([f"study {name} in {database.address} exists with another spec:", *lines])
            + "\nGive another --name for a new study, or start it with the settings that are stored."
        )
    if stored.spec.budget.trials != spec.budget.trials:
        change = sa.update(schema.studies).where(schema.studies.c.study_id == stored.study_id)
        database.write(lambda connection: connection.execute(change.values(trials=spec.budget.trials)))
    return Study(database, stored.study_id, name, spec, stored.created_at, lease)


def _create(connection: Connection, name: str, spec: StudySpec, code_version: str) -> None:
    study_id = new_study(connection, name, METRIC)
    for table in (schema.reports, schema.trials, schema.workers, schema.jobs, schema.studies):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))
    connection.execute(
        sa.insert(schema.studies).values(
            study_id=study_id,
            name=name,
            spec=spec.model_dump_json(),
            fingerprint=spec.fingerprint(),
            trials=spec.budget.trials,
            created_at=schema.database_now(),
            code_version=code_version,
        )
    )
