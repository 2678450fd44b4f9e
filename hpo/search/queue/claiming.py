"""Places of a study's budget, and the leases on them.

A worker claims a place before it trains, holds it by a lease on the database's clock, and shows its fencing number
with every write. Place n is Optuna's trial n: both rows are made in one transaction, so that a worker that dies
leaves neither without the other. Every transaction here may run twice: a lost answer does no harm.
"""

from __future__ import annotations

import itertools
import time
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyNotFoundError, StudyStoppedError
from hpo.search.database import schema
from hpo.search.database.optuna_mirror import Drawn, new_trial, write_params
from hpo.search.database.schema import AnyRow, RowValues, database_now
from hpo.search.queue.lease import Claim, is_in_state, update_held
from hpo.search.queue.process_identity import has_ended, visible_identity_prefix
from hpo.search.queue.reporting import dropped, failed_by_death
from hpo.search.queue.workers import StopRequest, read_stop_request, touch
from hpo.search.strategy.racing import Elimination, race, read_results
from hpo.search.strategy.sampler import planned_template
from hpo.search.study import Study
from hpo.study.planned import planned_trial
from hpo.study.record import TrialRecord

MIN_TRIALS_TO_STOP = 10
"""Finished trials before the share of failed ones can stop a study."""

MAX_LIVES_LOST = 5
"""Workers that may die on a trial in a row, with no epoch reported between, before its configuration has failed."""

_trials = schema.trials.c


class NothingToClaim(Enum):
    """Why there is no trial to claim: the budget is spent, or all that is left runs elsewhere and may come free."""

    DONE = "done"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Renewal:
    """What a sign of life brought back. held: the lease is kept. stop: what the worker is asked to do."""

    held: bool
    stop: StopRequest | None


@dataclass(frozen=True)
class _Open:
    """The study's trials that are not finished. free_place: the first that may be taken up."""

    live: int
    free_place: int | None


def claim(study: Study, worker: str) -> Claim | NothingToClaim:
    """A trial for `worker`: the first that is free or whose worker is gone, else a new one if the budget has room.

    One transaction under the study's lock, so finished and running trials never exceed the budget. A worker is gone
    when its lease has run out on the database's clock, or its process on this host has ended.
    Raises StudyStoppedError if too many trials failed by their own fault, StudyNotFoundError if the study is gone.
    """
    token = str(uuid.uuid4())
    tries = itertools.count()

    def write(connection: Connection) -> Claim | NothingToClaim:
        return _claim(study, worker, token, connection, again=next(tries) > 0)

    study.database.check_optuna()
    return study.database.write(write)


def renew(held: Claim, progress: float, *, started: float | None = None) -> Renewal:
    """Prolongs the lease and stores the share of the trial that is done, 0 to 1.

    started: of the worker, on the database's clock, to be told of requests to stop since then.
    """
    values = {"lease_until": database_now() + held.study.lease, "progress": progress}

    def write(connection: Connection) -> Renewal:
        kept = update_held(connection, held, values)
        touch(connection, held.study, held.worker)
        asked = None if started is None else read_stop_request(connection, held.study, started)
        return Renewal(kept, asked)

    return held.study.database.write(write)


def release(held: Claim, record: TrialRecord | None = None) -> bool:
    """Gives the trial back unfinished, to be taken up by the next worker; False if the lease was lost.

    record: what is to be kept of it, None to leave what is stored.
    """
    values: RowValues = {"state": "free", "lease_until": None}
    if record is not None:
        values["record"] = record.to_json()
    return held.study.database.write(
        lambda connection: update_held(connection, held, values) or is_in_state(connection, held, "free")
    )


def store_record(held: Claim, record: TrialRecord, checkpoint: str | None = None, drawn: Drawn | None = None) -> bool:
    """Stores what the trial needs to be run again, and where its checkpoints lie; False if the lease is lost.

    drawn: of a trial that is new, for Optuna's tables.
    """
    values = {"record": record.to_json(), "checkpoint": checkpoint}

    def write(connection: Connection) -> bool:
        if not update_held(connection, held, values):
            return False
        write_params(connection, held.trial_id, drawn or {})
        return True

    return held.study.database.write(write)


def _claim(study: Study, worker: str, token: str, connection: Connection, *, again: bool) -> Claim | NothingToClaim:
    row = _locked_study(study, connection)
    if again and (mine := _claimed_by(token, study, connection)) is not None:
        return mine
    _check_failures(study, row.finished, row.failed)
    finished, budget, places = row.finished, row.trials, row.places
    exits: dict[int, Elimination] | None = None
    while finished < budget:
        opened = _open_trials(study, connection)
        if finished + opened.live >= budget:
            return NothingToClaim.ELSEWHERE
        if opened.free_place is None:
            held, lost = _new_place(study, worker, token, places, connection), 0
            places += 1
        else:
            held, lost = _take_over(study, worker, token, opened.free_place, connection)
        if exits is None:
            exits = _exits(study, connection)
        left = _left_before(held, exits)
        if left is not None:
            dropped(connection, held, left.reason)
        elif lost >= MAX_LIVES_LOST:
            failed_by_death(connection, held, lost)
        else:
            return held
        finished += 1
    return NothingToClaim.DONE


def _exits(study: Study, connection: Connection) -> dict[int, Elimination]:
    """The candidates of a confirmation that are trained no further; none in a search."""
    plan = study.spec.plan
    if plan is None or plan.racing_level == 0:
        return {}
    return race(plan, read_results(connection, study), study.spec.scoring)


def _left_before(held: Claim, exits: dict[int, Elimination]) -> Elimination | None:
    """The exit of the trial's candidate, if it left the race in a repeat before this one."""
    if not exits or held.study.spec.plan is None:
        return None
    candidate, repeat = held.study.spec.plan.at(held.place)
    found = exits.get(candidate)
    return found if found is not None and found.repeat < repeat else None


def _locked_study(study: Study, connection: Connection) -> AnyRow:
    columns = schema.studies.c
    query = (
        sa.select(columns.trials, columns.finished, columns.failed, columns.places)
        .where(columns.study_id == study.study_id, columns.name == study.name)
        .with_for_update(key_share=True)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise StudyNotFoundError(f"study {study.name} has been deleted from {study.database.address}")
    return row


def _claimed_by(token: str, study: Study, connection: Connection) -> Claim | None:
    here = (_trials.study_id == study.study_id) & (_trials.state == "claimed") & (_trials.token == token)
    row = connection.execute(sa.select(schema.trials).where(here)).one_or_none()
    return None if row is None else _as_claim(study, row)


def _as_claim(study: Study, row: AnyRow, **changed: Any) -> Claim:
    stored = {
        "place": row.place,
        "number": row.trial_number,
        "trial_id": row.trial_id,
        "fence": row.fence,
        "worker": row.worker,
        "reference": row.reference,
        "record": TrialRecord.from_json(row.record, study.trial_name(row.trial_number)) if row.record else None,
        "epoch": row.epoch,
        "checkpoint": row.checkpoint,
    }
    return Claim(study, **{**stored, **changed})


def _open_trials(study: Study, connection: Connection) -> _Open:
    lives = schema.workers.c
    same_worker = (lives.study_id == _trials.study_id) & (lives.worker == _trials.worker)
    visible = lives.life.startswith(visible_identity_prefix() or "\0", autoescape=True)
    query = (
        sa.select(
            _trials.place,
            (_trials.state == "free").label("free"),
            (_trials.lease_until < database_now()).label("late"),
            lives.process,
            lives.life,
        )
        .select_from(schema.trials.outerjoin(schema.workers, same_worker & visible))
        .where(_trials.study_id == study.study_id, _trials.state.in_(("claimed", "free")))
    )
    rows = connection.execute(query).all()
    # Leases run out while a database is away, and their holders have yet to come back and renew them.
    back = time.monotonic() < study.database.answered_again + study.lease
    takeable = [
        row.place
        for row in rows
        if row.free or (row.late and not back) or (row.life and has_ended(row.process, row.life))
    ]
    return _Open(len(rows) - len(takeable), min(takeable, default=None))


def _check_failures(study: Study, finished: int, failed: int) -> None:
    if finished < MIN_TRIALS_TO_STOP or failed < study.spec.search.max_failed_share * finished:
        return
    raise StudyStoppedError(
        f"study {study.name} has stopped: {failed} of {finished} finished trials failed by their own "
        f"fault, a share of {study.spec.search.max_failed_share:g} or more ([search] max_failed_share); "
        "`hpo trials` gives the reasons; narrow the space and start it under another --name"
    )


def _take_over(study: Study, worker: str, token: str, place: int, connection: Connection) -> tuple[Claim, int]:
    """The trial at this place under the next fencing number, and how many workers in a row have died on it."""
    here = (_trials.study_id == study.study_id) & (_trials.place == place)
    row = connection.execute(sa.select(schema.trials).where(here)).one()
    fence = row.fence + 1
    lost = row.lives_lost + (row.state == "claimed")
    values = {"state": "claimed", "worker": worker, "token": token, "fence": fence, "lives_lost": lost}
    connection.execute(
        sa.update(schema.trials)
        .where(here)
        .values(**values, lease_until=database_now() + study.lease, started=database_now())
    )
    return _as_claim(study, row, worker=worker, fence=fence), lost


def _new_place(study: Study, worker: str, token: str, place: int, connection: Connection) -> Claim:
    planned = planned_trial(study.spec, place)
    template = None if planned is None else planned_template(study.spec, planned)
    trial_id, number = new_trial(connection, study.study_id, template)
    reference = None if planned is None else planned.reference
    connection.execute(
        sa.insert(schema.trials).values(
            study_id=study.study_id,
            place=place,
            trial_number=number,
            trial_id=trial_id,
            state="claimed",
            worker=worker,
            token=token,
            fence=1,
            lease_until=database_now() + study.lease,
            progress=0.0,
            started=database_now(),
            reference=reference,
        )
    )
    counters = schema.studies.c
    change = sa.update(schema.studies).where(counters.study_id == study.study_id)
    connection.execute(change.values(places=counters.places + 1))
    return Claim(study, place, number, trial_id, 1, worker, reference, None)
