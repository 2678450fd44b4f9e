"""Places of a study's budget, and the leases on them.

A worker claims a place before it trains, holds it by a lease on the database's clock, and shows its fencing number
with every write. Place n is Optuna's trial n: both rows are made in one transaction, so that a worker that dies
leaves neither without the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyNotFoundError, StudyStoppedError
from hpo.search import tables
from hpo.search.study import Study
from hpo.search.suggest import reference_template
from hpo.search.tables import database_now
from hpo.study.references import references

MIN_TRIALS_TO_STOP = 10
"""Finished trials before the share of failed ones can stop a study."""

_trials = tables.trials.c


class NothingToClaim(Enum):
    """Why there is no trial to claim: the budget is spent, or all that is left runs elsewhere and may come free."""

    DONE = "done"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Claim:
    """A worker's right to one trial. fence: grows each time the trial changes hands. record: None until stored."""

    study: Study
    place: int
    number: int
    trial_id: int
    fence: int
    worker: str
    reference: str | None
    record: dict[str, Any] | None


@dataclass(frozen=True)
class _Tally:
    finished: int
    failed: int
    live: int
    places: int
    free_place: int | None


def claim(study: Study, worker: str) -> Claim | NothingToClaim:
    """A trial for `worker`: the first that is free or whose lease ran out, else a new one if the budget has room.

    One transaction under the study's lock, so finished and running trials never exceed the budget.
    Raises StudyStoppedError if too many trials failed by their own fault, StudyNotFoundError if the study is gone.
    """
    return study.database.write(lambda connection: _claim(study, worker, connection))


def renew(held: Claim, progress: float) -> bool:
    """Prolongs the lease and stores the share of the trial that is done, 0 to 1; False if the lease is lost."""
    values = {"lease_until": database_now() + held.study.lease, "progress": progress}
    return held.study.database.write(lambda connection: update_held(connection, held, values))


def release(held: Claim) -> bool:
    """Gives the trial back unfinished: the next worker takes it up. False if the lease was lost."""
    values = {"state": "free", "lease_until": None, "progress": 0.0}
    return held.study.database.write(lambda connection: update_held(connection, held, values))


def store_record(held: Claim, record: dict[str, Any]) -> bool:
    """Stores what the trial needs to be run again; False if the lease is lost."""
    values = {"record": json.dumps(record)}
    return held.study.database.write(lambda connection: update_held(connection, held, values))


def update_held(connection: Connection, held: Claim, values: dict[str, Any]) -> bool:
    """Changes the trial's row if it is still held under this fencing number; whether it was."""
    change = (
        sa.update(tables.trials)
        .where(
            _trials.study_id == held.study.study_id,
            _trials.place == held.place,
            _trials.fence == held.fence,
            _trials.state == "claimed",
        )
        .values(values)
    )
    return connection.execute(change).rowcount == 1


def _claim(study: Study, worker: str, connection: Connection) -> Claim | NothingToClaim:
    budget = _locked_budget(study, connection)
    tally = _tally(study, connection)
    _check_failures(study, tally)
    if tally.finished >= budget:
        return NothingToClaim.DONE
    if tally.finished + tally.live >= budget:
        return NothingToClaim.ELSEWHERE
    if tally.free_place is not None:
        return _take_over(study, worker, tally.free_place, connection)
    return _new_place(study, worker, tally.places, connection)


def _locked_budget(study: Study, connection: Connection) -> int:
    query = (
        sa.select(tables.studies.c.trials)
        .where(tables.studies.c.study_id == study.study_id, tables.studies.c.name == study.name)
        .with_for_update(key_share=True)
    )
    budget: int | None = connection.scalar(query)
    if budget is None:
        raise StudyNotFoundError(f"study {study.name} has been deleted from {study.database.address}")
    return budget


def _tally(study: Study, connection: Connection) -> _Tally:
    held = (_trials.state == "claimed") & (_trials.lease_until >= database_now())
    takeable = (_trials.state != "finished") & sa.not_(held)
    query = sa.select(
        sa.func.coalesce(sa.func.sum(sa.case((_trials.state == "finished", 1), else_=0)), 0).label("finished"),
        sa.func.coalesce(sa.func.sum(sa.case((_trials.outcome == "failed", 1), else_=0)), 0).label("failed"),
        sa.func.coalesce(sa.func.sum(sa.case((held, 1), else_=0)), 0).label("live"),
        sa.func.coalesce(sa.func.max(_trials.place) + 1, 0).label("places"),
        sa.func.min(sa.case((takeable, _trials.place))).label("free_place"),
    ).where(_trials.study_id == study.study_id)
    row = connection.execute(query).one()
    return _Tally(int(row.finished), int(row.failed), int(row.live), int(row.places), row.free_place)


def _check_failures(study: Study, tally: _Tally) -> None:
    if tally.finished < MIN_TRIALS_TO_STOP or tally.failed < study.spec.search.max_failed_share * tally.finished:
        return
    raise StudyStoppedError(
        f"study {study.name} has stopped: {tally.failed} of {tally.finished} finished trials failed by their own "
        f"fault, a share of {study.spec.search.max_failed_share:g} or more ([search] max_failed_share); "
        "`hpo trials` gives the reasons; narrow the space and start it under another --name"
    )


def _take_over(study: Study, worker: str, place: int, connection: Connection) -> Claim:
    here = (_trials.study_id == study.study_id) & (_trials.place == place)
    row = connection.execute(sa.select(tables.trials).where(here)).one()
    fence = row.fence + 1
    values = {"state": "claimed", "worker": worker, "fence": fence, "progress": 0.0}
    values |= {"epoch": None, "auc": None, "standard_error": None}
    connection.execute(
        sa.update(tables.trials)
        .where(here)
        .values(**values, lease_until=database_now() + study.lease, started=database_now())
    )
    record = json.loads(row.record) if row.record else None
    return Claim(study, place, row.trial_number, row.trial_id, fence, worker, row.reference, record)


def _new_place(study: Study, worker: str, place: int, connection: Connection) -> Claim:
    known = references(study.spec)
    reference = list(known)[place] if place < len(known) else None
    template = reference_template(study.spec, reference, known[reference]) if reference else None
    storage = study.database.optuna_within(connection)
    trial_id = storage.create_new_trial(study.study_id, template)
    number = storage.get_trial(trial_id).number
    connection.execute(
        sa.insert(tables.trials).values(
            study_id=study.study_id,
            place=place,
            trial_number=number,
            trial_id=trial_id,
            state="claimed",
            worker=worker,
            fence=1,
            lease_until=database_now() + study.lease,
            progress=0.0,
            started=database_now(),
            reference=reference,
        )
    )
    return Claim(study, place, number, trial_id, 1, worker, reference, None)
