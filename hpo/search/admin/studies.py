"""Delete and rename studies in hpo's and in Optuna's tables, each in one transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError, did_you_mean
from hpo.search.creation import MAX_NAME, check_printable
from hpo.search.damaged import as_stored, as_text
from hpo.search.database import optuna_mirror, schema
from hpo.search.database.database import Database
from hpo.search.database.schema import AnyRow, RowValues, database_now
from hpo.search.study import Study, former_names, hpo_studies, planned_search, with_former_names
from hpo.study.spec import StudySpec
from hpo.text import shell


@dataclass(frozen=True)
class StudyContents:
    """What the database holds of one study.

    Attributes:
        trials: number of its trials, finished or not.
        reports: number of their reports.
        workers: names of the workers that hold a valid lease on one of them.
    """

    name: str
    trials: int
    reports: int
    workers: tuple[str, ...]


@dataclass(frozen=True)
class Deletion:
    """What goes when a study is deleted, and what stays.

    Attributes:
        studies: the study, then those that belong to it: its confirmations and its ablation.
        accesses: number of entries of the test-set access log on these studies, which stay.
    """

    studies: tuple[StudyContents, ...]
    accesses: int


@dataclass(frozen=True)
class _Member:
    """A study of a family. created_at: as `as_stored` selects it; the texts are "" where there are none."""

    study_id: int
    created_at: object
    name: str
    spec: str
    fingerprint: str
    former_names: str


def read_deletion(database: Database, name: str) -> Deletion:
    """Return what `delete_study` would delete.

    Raises:
        StudyNotFoundError: if there is no study of that name.
    """
    return database.read(lambda connection: _deletion(connection, _family(database, connection, name)))


def delete_study(
    database: Database, name: str, *, force: bool = False, alone: bool = False, announced: Deletion | None = None
) -> Deletion:
    """Delete a study and those that belong to it from hpo's and Optuna's tables, in one transaction.

    Files stay: checkpoints, and the folder of the final result. So does the test-set access log.

    Args:
        force: whether to delete it although workers hold trials of it; they will end with StudyNotFoundError.
        alone: whether to refuse if others belong to it.
        announced: what somebody agreed to; refused if other studies would go by now.

    Returns:
        What was deleted.

    Raises:
        StudyNotFoundError: if there is no study of that name.
        StudyConflictError: if others belong to it and `alone`.
        UsageError: if workers hold trials of it, unless `force`; if it is not what was `announced`.
    """
    tried: list[tuple[_Member, Deletion]] = []

    def write(connection: Connection) -> Deletion:
        # A retry after a lost reply to COMMIT finds nothing left to delete.
        if tried and _name_of(connection, tried[-1][0]) is None:
            return tried[-1][1]
        family = _family(database, connection, name, lock=True)
        deletion = _deletion(connection, family, lock=True)
        if alone and (others := [row.name for row in family[1:]]):
            raise StudyConflictError(
                f"study {name} cannot be deleted alone, since others belong to it; delete first {', '.join(others)}"
            )
        if announced is not None and {one.name for one in deletion.studies} != {one.name for one in announced.studies}:
            raise UsageError(f"other studies belong to {name} than when you were asked; run the command again")
        if not force:
            _check_idle(deletion.studies, "deleted")
        tried.append((family[0], deletion))
        for row in reversed(family):
            for table in schema.tables_of_study:
                connection.execute(sa.delete(table).where(table.c.study_id == row.study_id))
            optuna_mirror.delete_study(connection, row.study_id)
        return deletion

    return database.write(write)


def delete_unused(study: Study) -> bool:
    """Delete a study that nobody has used: it has no trial, no worker, no job, and none belongs to it.

    Returns:
        Whether it is gone.
    """
    database, traces = study.database, (schema.trials, schema.workers, schema.jobs)

    def write(connection: Connection) -> bool:
        try:
            family = _family(database, connection, study.name, lock=True)
        except StudyNotFoundError:
            return True
        of_it = [table.c.study_id == study.study_id for table in traces]
        used = any(connection.scalar(sa.select(sa.func.count()).where(own)) for own in of_it)
        if used or [row.study_id for row in family] != [study.study_id]:
            return False
        connection.execute(sa.delete(schema.studies).where(schema.studies.c.study_id == study.study_id))
        optuna_mirror.delete_study(connection, study.study_id)
        return True

    return bool(database.write(write))


def rename_study(database: Database, old: str, new: str) -> dict[str, str]:
    """Rename a study in hpo's and Optuna's tables, in one transaction.

    Those that belong to it, its confirmations and its ablation, refer to the new name; the ones that are called
    OLD-something become NEW-something. The former names are stored, by which final results and checkpoints are still
    found. The test-set access log keeps the name under which the test set was read.

    Returns:
        The old and the new name of each study that was renamed, `old` first.

    Raises:
        StudyNotFoundError: if there is no study `old`.
        StudyConflictError: if a study, hpo's or Optuna's, has one of the new names.
        UsageError: if a name is not allowed, or workers hold trials of one of these studies.
    """
    tried: list[tuple[_Member, dict[str, str]]] = []

    def write(connection: Connection) -> dict[str, str]:
        # A retry after a lost reply to COMMIT finds the study under its new name.
        if tried and _name_of(connection, tried[-1][0]) == new:
            return tried[-1][1]
        family = _family(database, connection, old, lock=True)
        _check_idle([_contents(connection, row, lock=True) for row in family], "renamed")
        names = {row.name: new_name(row.name, old, new) for row in family}
        _check_free(database, connection, {row.study_id: names[row.name] for row in family})
        tried.append((family[0], {name: changed for name, changed in names.items() if name != changed}))
        # In an order in which no name is taken before it is free: of `a` to `a-confirm`, `a-confirm` goes first.
        for row in sorted(family, key=lambda row: len(row.name), reverse=len(new) > len(old)):
            _rename(connection, row, names[row.name], None if row is family[0] else new)
        return tried[-1][1]

    check_printable("the new name", new, MAX_NAME)
    try:
        return database.write(write)
    except sa.exc.IntegrityError as error:
        raise StudyConflictError(f"{database.address} has a study {new} already; give another name") from error


def _family(database: Database, connection: Connection, name: str, *, lock: bool = False) -> list[_Member]:
    """Return the rows of the study of that name and of those that belong to it, whose plans name it.

    Args:
        lock: whether to lock them, so that no trial of them is claimed until the end of the transaction.
    """
    columns = schema.studies.c
    # As they are stored: a damaged study must not keep this one, or itself, from being deleted.
    wanted = (columns.created_at, columns.name, columns.spec, columns.fingerprint, with_former_names())
    query = hpo_studies(columns.study_id, *(as_stored(connection, column) for column in wanted))
    stored: Sequence[AnyRow] = connection.execute(query.order_by(columns.study_id)).all()
    rows = [_Member(study_id, moment, *map(as_text, texts)) for study_id, moment, *texts in stored]
    # Compared here: MySQL's collations ignore case, accents and trailing blanks.
    found = [row for row in rows if row.name == name]
    if not found:
        names = [row.name for row in rows]
        hint = did_you_mean(name, names) if names else "; it has no studies yet"
        raise StudyNotFoundError(f"{database.address} has no study {name}{hint}")
    family = [*found, *(row for row in rows if planned_search(row.spec) == name)]
    if not lock:
        return family
    ids = sorted(row.study_id for row in family)
    held = hpo_studies(as_stored(connection, columns.name)).where(columns.study_id.in_(ids))
    locked = connection.scalars(held.order_by(columns.study_id).with_for_update()).all()
    if sorted(map(as_text, locked)) != sorted(row.name for row in family):
        raise StudyNotFoundError(f"study {name} is being deleted or renamed by somebody else; see `hpo status`")
    return family


def _deletion(connection: Connection, family: Sequence[_Member], *, lock: bool = False) -> Deletion:
    names = [name for row in family for name in (row.name, *former_names(row.former_names))]
    logged = connection.scalars(sa.select(schema.ledger.c.study).where(schema.ledger.c.study.in_(names)))
    accesses = sum(name in names for name in logged)
    return Deletion(tuple(_contents(connection, row, lock=lock) for row in family), accesses)


def _contents(connection: Connection, row: _Member, *, lock: bool) -> StudyContents:
    trials, reports = schema.trials.c, schema.reports.c
    held = sa.select(as_stored(connection, trials.worker)).where(
        trials.study_id == row.study_id, trials.state == "claimed", trials.lease_until >= database_now()
    )
    if lock:
        # A locking read sees what was claimed since this transaction began, which MySQL's other reads do not.
        held = held.with_for_update()

    def counted(column: sa.Column[int]) -> int:
        return connection.scalar(sa.select(sa.func.count()).where(column == row.study_id)) or 0

    workers = tuple(sorted(set(map(as_text, connection.scalars(held)))))
    return StudyContents(row.name, counted(trials.study_id), counted(reports.study_id), workers)


def _check_idle(studies: Sequence[StudyContents], what: str) -> None:
    busy = [study for study in studies if study.workers]
    if busy:
        held = "; ".join(f"{len(study.workers)} of {study.name}: {', '.join(study.workers)}" for study in busy)
        raise UsageError(
            f"workers are at work ({held}), so study {studies[0].name} cannot be {what}; stop them with "
            + " and ".join(f"`hpo stop --now {shell(study.name)}`" for study in busy)
        )


def new_name(name: str, old: str, new: str) -> str:
    """Return the new name of a study that belongs to `old`, or of `old` itself."""
    if name == old:
        return new
    return new + name[len(old) :] if name.startswith(f"{old}-") else name


def _check_free(database: Database, connection: Connection, names: Mapping[int, str]) -> None:
    """Check that no study but those with these ids has one of these names."""
    studies = schema.optuna_studies.c
    for name, count in Counter(names.values()).items():
        check_printable("the new name", name, MAX_NAME)
        ids = connection.scalars(sa.select(studies.study_id).where(studies.study_name == name))
        if count > 1 or any(study_id not in names for study_id in ids):
            raise StudyConflictError(f"{database.address} has a study {name} already; give another name")


def _rename(connection: Connection, row: _Member, name: str, search: str | None) -> None:
    """Give a study its new name, and the study that it belongs to the name `search` unless that is None."""
    values: RowValues = {"name": name}
    if search is not None:
        values.update(of_search(row.spec, row.fingerprint, search))
    connection.execute(sa.update(schema.studies).where(schema.studies.c.study_id == row.study_id).values(values))
    if name != row.name:
        optuna_mirror.rename_study(connection, row.study_id, name)
        before = [former for former in former_names(row.former_names) if former != row.name]
        optuna_mirror.write_former_names(connection, row.study_id, [*before, row.name])


def of_search(spec: str, fingerprint: str, search: str) -> RowValues:
    """Return the stored spec and its fingerprint of a study with a plan that is to name another search."""
    values = json.loads(spec)
    values["plan"]["search"] = search
    changed = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return {"spec": changed, "fingerprint": _fingerprint(changed) or fingerprint}


def _fingerprint(spec: str) -> str | None:
    """Return the fingerprint of a stored spec; None if it uses a plug-in that is missing here."""
    try:
        return StudySpec.from_json(spec).fingerprint()
    except ValidationError:
        return None


def _name_of(connection: Connection, row: _Member) -> str | None:
    """Return the present name of a study that was read before; None if it has been deleted."""
    columns = schema.studies.c
    here = (columns.study_id == row.study_id) & (as_stored(connection, columns.created_at) == row.created_at)
    name: str | None = connection.scalar(sa.select(columns.name).where(here))
    return name
