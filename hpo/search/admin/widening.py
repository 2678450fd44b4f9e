"""Widen the search space of a study that has trials: `hpo launch --extend`."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyConflictError, StudyNotFoundError
from hpo.search.creation import BudgetRule, check_not_fewer, check_readable
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.optuna_mirror import widen_params
from hpo.search.strategy.sampler import distribution
from hpo.search.study import Study, open_study
from hpo.study.space import Space
from hpo.study.spec import StudySpec, differences
from hpo.study.stored import parse_object
from hpo.study.widening import obstacles, widened


def widen(database: Database, name: str, spec: StudySpec, budget: BudgetRule = "keep") -> list[str]:
    """Widen the stored space of a study to that of a spec, in one transaction; its trials stay.

    Workers notice when they claim their next trial. A study that does not exist, or was made from a search, is left to
    `create_or_open`.

    Args:
        budget: what will become of the number of trials; nothing is changed if that will be refused.

    Returns:
        What changed, a line each.

    Raises:
        StudyConflictError: with every difference that is more than a wider range or an additional choice; or if there
            are more trials than `budget` lets `spec` have.
        UsageError: if the spec could not be read again.
    """
    check_readable(name, spec)
    try:
        study = open_study(database, name)
    except StudyNotFoundError:
        return []
    if study.spec.plan is not None:
        return []
    asked = spec.like(study.spec)
    if lines := obstacles(study.spec, asked):
        raise StudyConflictError(
            "\n  ".join([f"study {name} cannot be extended, since more than ranges and choices differ:", *lines])
            + "\nGive another --name for a new study."
        )
    space = widened(study.spec, asked)
    if space:
        trials = spec.budget.trials
        database.write(lambda connection: _widen(connection, study, space, trials, budget))
    return differences(study.spec.canonical(), asked.canonical())


def _widen(connection: Connection, study: Study, space: Space, trials: int, budget: BudgetRule) -> None:
    columns = schema.studies.c
    here = (*study.is_there(), *study.is_in_optuna(connection))
    row = connection.execute(sa.select(columns.spec, columns.trials).where(*here).with_for_update()).one_or_none()
    if row is None:
        raise study.deleted()
    check_not_fewer(study.name, row.trials, trials, budget)
    stored: Any = parse_object(row.spec)
    # Read once more under the lock: another command may have widened it since, even further.
    now = StudySpec.from_json(row.spec)
    if obstacles(now, now.model_copy(update={"space": {**now.space, **space}})):
        raise StudyConflictError(f"study {study.name} was extended by another command at this moment; try again")
    # Only the space is replaced: what an older spec does not say keeps its meaning.
    stored["space"] = {**stored["space"], **{name: entry.model_dump(mode="json") for name, entry in space.items()}}
    changed = json.dumps(stored, separators=(",", ":"), ensure_ascii=False)
    values = {"spec": changed, "fingerprint": StudySpec.from_json(changed).fingerprint()}
    connection.execute(sa.update(schema.studies).where(columns.study_id == study.study_id).values(values))
    for name, entry in space.items():
        widen_params(connection, study.study_id, name, distribution(entry))
