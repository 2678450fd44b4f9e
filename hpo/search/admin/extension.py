"""Add candidates to the plan of a study that has trials: `hpo methods` with further methods."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyConflictError
from hpo.search.creation import check_readable
from hpo.search.database import schema
from hpo.search.study import Study
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec
from hpo.study.stored import parse_object


def extend_plan(study: Study, plan: Plan) -> None:
    """Replace the plan of a study by one with further candidates, in one transaction; its trials keep their slots.

    The number of trials grows so that the new candidates are trained in every repeat that was planned. Workers notice
    when they claim their next trial.

    Args:
        plan: made by `Plan.with_more` from the plan of `study`.

    Raises:
        StudyConflictError: if another command has extended it since `study` was opened.
        StudyNotFoundError: if it has been deleted.
        UsageError: if the plan could not be read again.
    """
    check_readable(study.name, study.spec.model_copy(update={"plan": plan}))
    repeats = plan.added[-1].repeats
    tried: list[str] = []

    def write(connection: Connection) -> None:
        columns = schema.studies.c
        here = (*study.is_there(), *study.is_in_optuna(connection))
        row = connection.execute(sa.select(columns.spec, columns.trials).where(*here).with_for_update()).one_or_none()
        if row is None:
            raise study.deleted()
        if row.spec in tried:  # Only the reply to COMMIT was lost.
            return
        stored: Any = parse_object(row.spec)
        before = StudySpec.from_json(row.spec).plan
        if before != study.spec.plan or before is None or row.trials != repeats * len(before.candidates):
            raise StudyConflictError(f"study {study.name} was extended by another command at this moment; try again")
        stored["plan"] = plan.model_dump(mode="json")
        changed = json.dumps(stored, separators=(",", ":"), ensure_ascii=False)
        values = {
            "spec": changed,
            "fingerprint": StudySpec.from_json(changed).fingerprint(),
            "trials": repeats * len(plan.candidates),
        }
        connection.execute(sa.update(schema.studies).where(*study.is_there()).values(values))
        tried.append(changed)

    study.write(write)
