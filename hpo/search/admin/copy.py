"""Copy one study to another database, with new primary keys: `hpo db copy`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyConflictError
from hpo.search.admin.backup import Progress, batches, snapshot
from hpo.search.admin.studies import new_name, of_search
from hpo.search.damaged import read_each
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.errors import as_hpo_error
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.database.schema import AnyRow, RowValues
from hpo.search.study import Study, hpo_studies
from hpo.study.stored import parse_object
from hpo.text import shell

_OF_STUDY = ("study_directions", "study_user_attributes", "study_system_attributes")
_OF_TRIAL = (
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
)

_FREED: RowValues = {"state": "free", "lease_until": None, "token": None, "checkpoint": None, "progress": 0.0}
"""Changes to an unfinished trial: the target database has neither its worker nor its checkpoints."""


def copy_study(study: Study, target: Database, name: str, progress: Progress = lambda *_: None) -> int:
    """Copy a snapshot of a study, its test-set access log included; return the number of its trials.

    The copy is one transaction. Running trials become free and will be restarted; workers, jobs and stop requests are
    not copied.

    A study that belongs to a search, as a confirmation does, belongs to the copy of that search, whatever its name; if
    the target has none, to the search whose name the copy's begins with, as `hpo rename` has it.

    Raises:
        StudyConflictError: if the target has a study of that name, hpo's or Optuna's.
    """
    with snapshot(study.database) as reading, as_hpo_error(target.url), target.engine.begin() as writing:
        return _Copy(study, name, reading, writing, progress).run(target)


def missing_search(study: Study) -> str | None:
    """Return the name of the search that a study belongs to; None if its database has it, or it belongs to none."""
    plan = study.spec.plan
    if plan is None or not plan.search:
        return None
    there = [row.name for row in study.database.read(_studies)]
    return None if plan.search in there else plan.search


def _studies(connection: Connection) -> Sequence[AnyRow]:
    """Return name and moment of creation of each study that can be read."""
    columns = schema.studies.c
    rows, _ = read_each(connection, hpo_studies(columns.name, columns.created_at), columns.study_id)
    return rows


def _conflict(target: Database, name: str) -> StudyConflictError:
    return StudyConflictError(f"{target.address} has a study {shell(name)}; give another --name")


class _Copy:
    """One copy, within one transaction on each database."""

    def __init__(self, study: Study, name: str, reading: Connection, writing: Connection, progress: Progress) -> None:
        self._study, self._name, self._progress = study, name, progress
        self._reading, self._writing = reading, writing
        self._theirs = optuna_tables()
        self._study_id = 0
        self._trial_ids: dict[int, int] = {}

    def run(self, target: Database) -> int:
        studies = self._theirs["studies"]
        # Not every server tells all names apart.
        taken = self._writing.scalar(sa.select(studies.c.study_name).where(studies.c.study_name == self._name).limit(1))
        if taken is not None:
            raise _conflict(target, taken)
        try:
            self._study_id = self._insert_one(studies, {"study_name": self._name})
        except sa.exc.IntegrityError as error:
            # Another copy, or a launch, has taken the name since.
            raise _conflict(target, self._name) from error
        for table in _OF_STUDY:
            self._rows(self._theirs[table], {"study_id": self._study_id}, self._theirs[table].c.study_id)
        if self._name != self._study.name:
            self._forget_former_names()
        self._trials()
        for table in _OF_TRIAL:
            self._of_trials(self._theirs[table])
        self._own()
        return len(self._trial_ids)

    def _forget_former_names(self) -> None:
        # By them the copy would use the folder of the original's checkpoints.
        attributes = self._theirs["study_system_attributes"]
        here = (attributes.c.study_id == self._study_id) & (attributes.c.key == schema.FORMER_NAMES)
        self._writing.execute(sa.delete(attributes).where(here))

    def _trials(self) -> None:
        # One by one: not every server returns the new keys of many rows in order.
        table = self._theirs["trials"]
        rows = self._read_rows(table, table.c.study_id, order=table.c.trial_id)
        for row in (row for batch in rows for row in batch):
            old = row.pop("trial_id")
            self._trial_ids[old] = self._insert_one(table, {**row, "study_id": self._study_id})

    def _of_trials(self, table: sa.Table) -> None:
        trials = self._theirs["trials"]
        query = sa.select(table).join(trials, trials.c.trial_id == table.c.trial_id)
        for rows in self._read_rows(table, trials.c.study_id, query):
            without_key = [self._without_key(table, row) for row in rows]
            self._insert(table, [{**row, "trial_id": self._trial_ids[row["trial_id"]]} for row in without_key])

    def _own(self) -> None:
        study = {"study_id": self._study_id, "name": self._name, "stop_before": None, "stop_at_once": False}
        study.update(self._with_search())
        self._rows(schema.studies, study, schema.studies.c.study_id)
        for rows in self._read_rows(schema.trials, schema.trials.c.study_id):
            self._insert(schema.trials, [self._own_trial(row) for row in rows])
        for table in (schema.reports, schema.scored_samples, schema.scores):
            self._rows(table, {"study_id": self._study_id}, table.c.study_id)
        # Without these entries, the copy would count a second access to the test set as the first.
        names = (self._study.name, *self._study.former_names)
        openings = sa.select(schema.ledger).where(schema.ledger.c.study.in_(names)).order_by(schema.ledger.c.entry)
        for rows in batches(self._reading, openings):
            ours = [row for row in rows if row["study"] in names]
            self._insert(
                schema.ledger, [{**self._without_key(schema.ledger, row), "study": self._name} for row in ours]
            )

    def _with_search(self) -> RowValues:
        """Return what changes if the study belongs to a search that has another name in the target."""
        plan, columns = self._study.spec.plan, schema.studies.c
        if plan is None or not plan.search:
            return {}
        named = self._search_by_name(plan.search)
        # A copy keeps the moment at which its original was created.
        moment = [row.created_at for row in _studies(self._reading) if row.name == plan.search]
        copies = [row.name for row in _studies(self._writing) if row.created_at in moment]
        search = next((name for name in (named, plan.search, *copies) if name in copies), named)
        if search == plan.search:
            return {}
        query = sa.select(columns.spec, columns.fingerprint).where(columns.study_id == self._study.study_id)
        stored = self._reading.execute(query).one()
        return of_search(stored.spec, stored.fingerprint, search)

    def _search_by_name(self, search: str) -> str:
        """Return what the search would be called if renaming it had given the study the name of the copy."""
        kept = self._study.name.removeprefix(search)
        renamed = self._name.removesuffix(kept)
        return renamed if renamed and new_name(self._study.name, search, renamed) == self._name else search

    def _own_trial(self, row: RowValues) -> RowValues:
        freed: RowValues = {}
        if row["state"] != "finished":
            freed = {**_FREED, "record": _without_attempts(row["record"])}
        return {**row, **freed, "study_id": self._study_id, "trial_id": self._trial_ids[row["trial_id"]]}

    def _rows(self, table: sa.Table, changed: RowValues, of_study: sa.Column[Any]) -> None:
        for rows in self._read_rows(table, of_study):
            self._insert(table, [{**self._without_key(table, row), **changed} for row in rows])

    def _read_rows(
        self,
        table: sa.Table,
        of_study: sa.Column[Any],
        query: sa.Select[Any] | None = None,
        order: sa.Column[Any] | None = None,
    ) -> Iterator[list[RowValues]]:
        """Yield the rows of the study in batches and report progress."""
        selected = (sa.select(table) if query is None else query).where(of_study == self._study.study_id)
        total = self._reading.scalar(sa.select(sa.func.count()).select_from(selected.subquery())) or 0
        done = 0
        self._progress(table.name, done, total)
        for rows in batches(self._reading, selected if order is None else selected.order_by(order)):
            yield rows
            done += len(rows)
            self._progress(table.name, done, total)

    def _without_key(self, table: sa.Table, row: RowValues) -> RowValues:
        """Return a row without its auto-increment key."""
        key = table.autoincrement_column
        return {name: value for name, value in row.items() if key is None or name != key.name}

    def _insert(self, table: sa.Table, rows: list[RowValues]) -> None:
        if rows:
            self._writing.execute(sa.insert(table), rows)

    def _insert_one(self, table: sa.Table, values: RowValues) -> int:
        key = self._writing.execute(sa.insert(table).values(values)).inserted_primary_key
        assert key is not None
        return int(key[0])


def _without_attempts(record: str | None) -> str | None:
    """Return a stored record without the names of attempts: their checkpoints are the original's."""
    if record is None:
        return None
    try:
        stored = parse_object(record)
    except ValueError:
        return record
    return json.dumps({key: value for key, value in stored.items() if key != "attempt_names"})
