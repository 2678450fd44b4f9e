"""Create studies, resume them, and change their number of trials."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError, first_line
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.optuna_mirror import new_study
from hpo.search.database.schema import RowValues
from hpo.search.study import LEASE_SECONDS, Study, missing_plugins, open_study
from hpo.study.spec import StudySpec, differences, unregistered
from hpo.study.stored import faults, parse_object
from hpo.study.widening import obstacles
from hpo.text import brief, shell

BudgetRule = Literal["keep", "extend", "set"]
"""For the number of trials of a study that exists: keep it, extend it but refuse to lower it, or set it."""

METRIC = "validation AUC"
MAX_NAME = 200


def create_or_open(
    database: Database,
    name: str,
    spec: StudySpec,
    *,
    budget: BudgetRule = "extend",
    code_version: str = "",
    lease: float = LEASE_SECONDS,
) -> Study:
    """Create the study `name`, or open it if it exists and extend its number of trials to that of `spec`.

    Arguments and errors as those of `create_or_tell`.
    """
    return create_or_tell(database, name, spec, budget=budget, code_version=code_version, lease=lease)[0]


def create_or_tell(
    database: Database,
    name: str,
    spec: StudySpec,
    *,
    budget: BudgetRule = "extend",
    code_version: str = "",
    lease: float = LEASE_SECONDS,
) -> tuple[Study, bool]:
    """Create or open a study, and tell whether this call has created it.

    Safe to call from several processes at once: at most one of them is told that it has.

    Args:
        budget: what becomes of the number of trials of a study that exists.

    Raises:
        StudyConflictError: if the study exists with a different spec, or with more trials than `extend` may set, was
            not created by hpo, or has a name that the server does not tell from this one.
        UsageError: if a new study may not have this name, or the spec could not be read again.
    """
    check_readable(name, spec)
    try:
        return _resume(database, name, spec, budget, lease), False
    except StudyNotFoundError:
        check_name(name)
        _check_distinct(database, name)
    from optuna.exceptions import DuplicatedStudyError

    database.check_optuna()
    is_new = False
    with contextlib.suppress(DuplicatedStudyError):
        database.write(lambda connection: _create(connection, name, spec, code_version))
        is_new = True
    try:
        return _resume(database, name, spec, budget, lease), is_new
    except StudyNotFoundError:
        raise StudyConflictError(
            f"{database.address} has an Optuna study {name} that hpo did not create; give another --name"
        ) from None


def check_readable(name: str, spec: StudySpec) -> None:
    """Check that a spec can be read again once it is stored: `model_copy` validates nothing.

    Raises:
        UsageError: if it cannot, with key and reason of each fault, or the plug-ins that it lacks.
    """
    try:
        text = spec.model_dump_json(warnings=False)
        StudySpec.from_json(text)
    except ValidationError as error:
        raise UsageError(f"the spec of study {name} is not valid: {faults(error)}") from None
    except ValueError as error:
        # A value that JSON has no form for.
        raise UsageError(f"the spec of study {name} cannot be stored: {first_line(error)}") from None
    if missing := unregistered(parse_object(text)):
        raise missing_plugins(name, missing)


def check_name(name: str) -> None:
    """Check that a new study may have this name.

    Raises:
        UsageError: if it may not.
    """
    check_printable("--name", name, MAX_NAME)


def check_printable(option: str, name: str, most: int) -> None:
    """Check that a new study or worker may have this name.

    Raises:
        UsageError: if it may not.
    """
    if not name.strip() or name != name.strip() or not name.isprintable():
        form = "give a name of printable characters, without leading or trailing blanks"
        raise UsageError(f"{option} {brief(name)}: {form}")
    if name.startswith("-"):
        raise UsageError(f"{option} {brief(name)}: commands would take a name with a leading - for an option")
    if len(name) > most:
        raise UsageError(f"{option} has {len(name)} characters; at most {most} are allowed")


def _check_distinct(database: Database, name: str) -> None:
    """Check that the server tells a new name from all names of studies, hpo's and Optuna's.

    Raises:
        StudyConflictError: if it does not.
    """
    names = schema.optuna_studies.c.study_name
    query = sa.select(names).where(names == name).limit(1)
    same = database.read(lambda connection: connection.scalar(query))
    if same is not None and same != name:
        raise StudyConflictError(
            f"{database.address} has a study {shell(same)}, whose name this server does not tell from {shell(name)}; "
            "give another --name"
        )


def _resume(database: Database, name: str, spec: StudySpec, budget: BudgetRule, lease: float) -> Study:
    stored = open_study(database, name, lease=lease)
    if stored.spec.plan is not None and spec.plan is None:
        plan = stored.spec.plan
        of = f"from the search {plan.search}" if plan.search else f"for {stored.spec.dataset}, from a study file"
        raise StudyConflictError(
            f"study {name} was made {of}; continue it with `{plan.command(stored.spec.data.source, name)}`, extend it "
            "with a larger --seeds"
        )
    spec = spec.like(stored.spec)
    if lines := differences(stored.spec.canonical(), spec.canonical()):
        raise StudyConflictError(
            "\n  ".join([f"study {name} in {database.address} exists with a different spec:", *lines])
            + "\nGive another --name for a new study, or go on with this one and its stored settings: "
            + f"`hpo launch --name {shell(name)}`."
            + ("" if obstacles(stored.spec, spec) else " Its space would only become wider: --extend does that.")
        )
    stored, spec = _with_own_file(stored, spec)
    return stored if budget == "keep" else _with_trials(stored, spec, budget)


def _with_own_file(study: Study, spec: StudySpec) -> tuple[Study, StudySpec]:
    """Store where a user's own data file is now, if it is gone from where it was; return study and spec with its place.

    The file is the same, since its checksum is part of the fingerprint.
    """
    old, new = study.spec.own, spec.own
    if old is None or new is None or old.path == new.path:
        return study, spec
    if Path(old.path).exists() or not Path(new.path).exists():
        return study, spec.model_copy(update={"own": old})

    def write(connection: Connection) -> None:
        here = schema.studies.c
        stored = parse_object(str(connection.scalar(sa.select(here.spec).where(*study.is_there()).with_for_update())))
        text = json.dumps({**stored, "own": new.model_dump(mode="json")})
        connection.execute(sa.update(schema.studies).where(here.study_id == study.study_id).values(spec=text))

    study.write(write)
    return dataclasses.replace(study, spec=study.spec.model_copy(update={"own": new})), spec


def set_trials(study: Study, trials: int) -> Study:
    """Set the number of trials of a study, to a larger or smaller one.

    Raises:
        UsageError: if no study may have so many.
    """
    budget = study.spec.budget.model_copy(update={"trials": trials})
    spec = study.spec.model_copy(update={"budget": budget})
    check_readable(study.name, spec)
    return _with_trials(study, spec, "set")


def check_not_fewer(name: str, before: int, trials: int, budget: BudgetRule) -> None:
    """Check that a study may have so many trials, given the number that it has.

    Raises:
        StudyConflictError: if these are fewer, and `budget` only extends.
    """
    if budget == "extend" and before > trials:
        raise StudyConflictError(
            f"study {name} has {before} trials; leave --trials out to keep them, or lower them to {trials} with "
            "--fewer (running trials are finished, released ones only within it)"
        )


def _with_trials(study: Study, spec: StudySpec, budget: BudgetRule) -> Study:
    """Set the number of trials of a study to that of `spec`."""
    here, trials = schema.studies.c, spec.budget.trials
    stored: sa.Select[Any] = sa.select(here.trials, here.finished, here.spec).where(here.study_id == study.study_id)
    change = sa.update(schema.studies).where(here.study_id == study.study_id)

    def write(connection: Connection) -> int:
        # Read once more here: of two that extend it at once, the one with fewer trials must not win.
        row = connection.execute(stored.with_for_update()).one_or_none()
        values: RowValues = {"trials": trials}
        first = study.first_trials
        if row is not None:
            check_not_fewer(study.name, row.trials, trials, budget)
        if row is not None and spec.plan is not None and not row.finished:
            # Repeats that are added before there is a result to look at are as good as planned at first.
            first = spec.plan.trials_at_first(trials)
            values["spec"] = _with_first_trials(row.spec, first)
        connection.execute(change.values(values))
        return first

    if study.spec.budget.trials == trials:
        return dataclasses.replace(study, spec=spec)
    return dataclasses.replace(study, spec=spec, first_trials=study.database.write(write))


def _with_first_trials(text: str, trials: int) -> str:
    """Return the text of a stored spec with another number of trials that the study began with."""
    stored: Any = parse_object(text)
    stored["budget"]["trials"] = trials
    return json.dumps(stored, separators=(",", ":"), ensure_ascii=False)


def _create(connection: Connection, name: str, spec: StudySpec, code_version: str) -> None:
    study_id = new_study(connection, name, METRIC)
    for table in schema.tables_of_study:
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
