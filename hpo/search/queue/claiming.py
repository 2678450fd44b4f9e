"""Claim the slots of a study's budget, renew and release their leases.

A worker claims a slot before it trains, holds it by a lease on the database's clock, and presents its fencing token
with every write. The rows of a trial in hpo's and in Optuna's tables are created in one transaction, so neither exists
without the other. Every transaction is idempotent: it may be retried after the reply to a COMMIT was lost.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import StudyStoppedError
from hpo.search.database import schema
from hpo.search.database.optuna_mirror import Drawn, new_trial, widen_drawn, write_params
from hpo.search.database.schema import AnyRow, RowValues, database_now
from hpo.search.queue.lease import Claim, is_in_state, update_held
from hpo.search.queue.process_identity import has_ended, visible_identity_prefix
from hpo.search.queue.reporting import dropped, failed_by_death
from hpo.search.queue.workers import StopRequest, read_stop_request, touch
from hpo.search.strategy.racing import Elimination, race, read_results
from hpo.search.strategy.sampler import distribution, planned_template, start_template
from hpo.search.study import Study, read_spec
from hpo.study.planned import planned_trial, start_at
from hpo.study.record import TrialRecord

MIN_TRIALS_TO_STOP = 10
"""Number of finished trials before the share of failed ones can stop a study."""

MAX_CRASHES = 5
"""Number of workers that may die on a trial in a row, without a report in between, before it counts as failed."""

_trials = schema.trials.c


class NothingToClaim(Enum):
    """Why no trial is claimed: the budget is spent, other workers hold all slots, or the spec has been changed."""

    DONE = "done"
    ELSEWHERE = "elsewhere"
    CHANGED = "changed"


@dataclass(frozen=True)
class Renewal:
    """Result of a heartbeat.

    Attributes:
        held: whether the worker still holds the lease.
        stop: a pending stop request.
    """

    held: bool
    stop: StopRequest | None


@dataclass(frozen=True)
class _Open:
    """The study's unfinished trials.

    Attributes:
        live: number of trials that other workers hold.
        free_slot: the first slot that can be claimed.
    """

    live: int
    free_slot: int | None


def claim(study: Study, worker: str) -> Claim | NothingToClaim:
    """Claim a trial for `worker`: the first that is free or whose worker is dead, else a new one within the budget.

    One transaction under the study's lock, so finished and running trials never exceed the budget. A worker counts as
    dead if its lease has expired on the database's clock, or its process on this host has ended.

    Raises:
        StudyStoppedError: if too many trials failed because of their own settings.
        StudyNotFoundError: if the study has been deleted.
        StorageError: if the tables have been upgraded for a newer hpo.
    """
    token = str(uuid.uuid4())
    tries = itertools.count()

    def write(connection: Connection) -> Claim | NothingToClaim:
        return _claim(study, worker, token, connection, again=next(tries) > 0)

    study.database.check_optuna()
    return study.write(write)


def renew(held: Claim, progress: float, *, started: float | None = None) -> Renewal:
    """Renew the lease and store the progress of the trial, 0 to 1.

    Args:
        started: start of the worker, on the database's clock; if given, later stop requests are returned.
    """
    values = {"lease_until": database_now() + held.study.lease, "progress": progress}

    def write(connection: Connection) -> Renewal:
        kept = update_held(connection, held, values)
        touch(connection, held.study, held.worker)
        asked = None if started is None else read_stop_request(connection, held.study, started)
        return Renewal(kept, asked)

    return held.study.write(write)


def release(held: Claim, record: TrialRecord | None = None) -> bool:
    """Release the unfinished trial, to be resumed by another worker; return False if the lease was lost.

    Args:
        record: its new record, None to keep the stored one.
    """
    values: RowValues = {"state": "free", "lease_until": None}
    if record is not None:
        values["record"] = record.to_json()
    return held.study.write(
        lambda connection: update_held(connection, held, values) or is_in_state(connection, held, "free")
    )


def store_record(held: Claim, record: TrialRecord, checkpoint: str | None = None, drawn: Drawn | None = None) -> bool:
    """Store the record of the trial and the location of its checkpoints; return False if the lease was lost.

    Args:
        drawn: sampled parameters of a new trial, for Optuna's tables; stored under the distributions of the study as it
            is now, which may have been widened since they were sampled.

    Raises:
        UsageError, StorageError: if the space that it was widened to cannot be read here.
    """
    values = {"record": record.to_json(), "checkpoint": checkpoint}

    def write(connection: Connection) -> bool:
        # First, as every claim does: this locks the study.
        params = _in_stored_space(held.study, connection, drawn) if drawn else {}
        if not update_held(connection, held, values):
            return False
        write_params(connection, held.trial_id, params)
        return True

    return held.study.write(write)


def _in_stored_space(study: Study, connection: Connection, drawn: Drawn) -> Drawn:
    """Return sampled parameters under the distributions of the stored spec, which is not widened before the commit."""
    columns = schema.studies.c
    query = sa.select(columns.spec, columns.fingerprint, columns.code_version).where(*study.is_there())
    # A shared lock: workers that store their parameters wait for a widening, not for each other.
    row = connection.execute(query.with_for_update(read=True, key_share=True)).one_or_none()
    if row is None or row.fingerprint == study.fingerprint:
        return drawn
    space = read_spec(study.name, row.spec, row.code_version).space
    return widen_drawn(drawn, {name: distribution(space[name]) for name in drawn})


def _claim(study: Study, worker: str, token: str, connection: Connection, *, again: bool) -> Claim | NothingToClaim:
    row = _locked_study(study, connection)
    # After the lock: MySQL shows a transaction the moment of its first plain read, which must not be before the lock.
    study.database.check_version(connection)
    if again and (mine := _claimed_by(token, study, connection)) is not None:
        return mine
    if study.fingerprint not in ("", row.fingerprint):
        return NothingToClaim.CHANGED
    _check_failures(study, row.finished, row.failed)
    finished, budget, slots = row.finished, row.trials, row.places
    eliminated: dict[int, Elimination] | None = None
    while finished < budget:
        opened = _open_trials(study, connection)
        if finished + opened.live >= budget:
            return NothingToClaim.ELSEWHERE
        if opened.free_slot is None:
            held, lost = _new_slot(study, worker, token, slots, connection), 0
            slots += 1
        else:
            held, lost = _take_over(study, worker, token, opened.free_slot, connection)
        if eliminated is None:
            eliminated = _eliminations(study, connection)
        elimination = _eliminated_before(held, eliminated)
        if elimination is not None:
            dropped(connection, held, elimination.reason)
        elif lost >= MAX_CRASHES:
            failed_by_death(connection, held, lost)
        else:
            return held
        finished += 1
    return NothingToClaim.DONE


def _eliminations(study: Study, connection: Connection) -> dict[int, Elimination]:
    """Return the eliminated candidates of a confirmation; none in a search."""
    plan = study.spec.plan
    if plan is None or plan.racing_level == 0:
        return {}
    return race(plan, read_results(connection, study), study.spec.scoring)


def _eliminated_before(held: Claim, eliminated: dict[int, Elimination]) -> Elimination | None:
    """Return the elimination of the trial's candidate, if it happened in an earlier repeat."""
    if not eliminated or held.study.spec.plan is None:
        return None
    candidate, repeat = held.study.spec.plan.at(held.slot)
    elimination = eliminated.get(candidate)
    return elimination if elimination is not None and elimination.repeat < repeat else None


def _locked_study(study: Study, connection: Connection) -> AnyRow:
    columns = schema.studies.c
    query = (
        sa.select(columns.trials, columns.finished, columns.failed, columns.places, columns.fingerprint)
        .where(*study.is_there(), *study.is_in_optuna(connection))
        .with_for_update(key_share=True)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise study.deleted()
    return row


def _claimed_by(token: str, study: Study, connection: Connection) -> Claim | None:
    here = (_trials.study_id == study.study_id) & (_trials.state == "claimed") & (_trials.token == token)
    row = connection.execute(sa.select(schema.trials).where(here)).one_or_none()
    return None if row is None else _as_claim(study, row)


def _as_claim(study: Study, row: AnyRow, **changed: Any) -> Claim:
    stored = {
        "slot": row.place,
        "number": row.trial_number,
        "trial_id": row.trial_id,
        "fence": row.fence,
        "worker": row.worker,
        "baseline": row.reference,
        "record": TrialRecord.from_json(row.record, study.trial_name(row.trial_number)) if row.record else None,
        "epoch": row.epoch,
        "checkpoint": row.checkpoint,
        "attempt": _attempt(row.token or ""),
    }
    return Claim(study, **{**stored, **changed})


def _open_trials(study: Study, connection: Connection) -> _Open:
    workers = schema.workers.c
    same_worker = (workers.study_id == _trials.study_id) & (workers.worker == _trials.worker)
    visible = workers.life.startswith(visible_identity_prefix() or "\0", autoescape=True)
    query = (
        sa.select(
            _trials.place,
            (_trials.state == "free").label("free"),
            (_trials.lease_until < database_now()).label("late"),
            _trials.lease_until,
            database_now().label("now"),
            workers.process,
            workers.life,
        )
        .select_from(schema.trials.outerjoin(schema.workers, same_worker & visible))
        .where(_trials.study_id == study.study_id, _trials.state.in_(("claimed", "free")))
    )
    rows = connection.execute(query).all()
    _follow_clock(study, connection, rows)
    # Leases may have expired during an outage of the database; give their holders time to renew them.
    back = time.monotonic() < study.database.answered_again + study.lease
    takeable = [
        row.place
        for row in rows
        if row.free or (row.late and not back) or (row.life and has_ended(row.process, row.life))
    ]
    return _Open(len(rows) - len(takeable), min(takeable, default=None))


def _follow_clock(study: Study, connection: Connection, rows: Sequence[AnyRow]) -> None:
    """Keep leases right after the database's clock was set, or this machine slept: no live worker loses its trial.

    A smaller step than half a lease lets none expire that is renewed in time.
    """
    if not rows:
        return
    if study.database.clock_step(rows[0].now) > study.lease / 2:
        study.database.answered_again = time.monotonic()
    if any(row.lease_until is not None and row.lease_until > row.now + 2 * study.lease for row in rows):
        # Set back: the trials of dead workers would wait until the clock has come back to where it was.
        ahead = (_trials.study_id == study.study_id) & (_trials.lease_until > database_now() + 2 * study.lease)
        connection.execute(sa.update(schema.trials).where(ahead).values(lease_until=database_now() + study.lease))


def _check_failures(study: Study, finished: int, failed: int) -> None:
    if finished < MIN_TRIALS_TO_STOP or failed < study.spec.search.max_failed_share * finished:
        return
    raise StudyStoppedError(
        f"study {study.name} has stopped: {failed} of {finished} finished trials failed because of "
        f"their own settings, a share of {study.spec.search.max_failed_share:g} or more ([search] max_failed_share); "
        "see the reasons with `hpo trials`; narrow the space and start a new study under another --name"
    )


def _take_over(study: Study, worker: str, token: str, slot: int, connection: Connection) -> tuple[Claim, int]:
    """Claim the trial of a slot with the next fencing token; return it and how many workers in a row died on it."""
    here = (_trials.study_id == study.study_id) & (_trials.place == slot)
    row = connection.execute(sa.select(schema.trials).where(here)).one()
    fence = row.fence + 1
    lost = row.lives_lost + (row.state == "claimed")
    values = {"state": "claimed", "worker": worker, "token": token, "fence": fence, "lives_lost": lost}
    connection.execute(
        sa.update(schema.trials)
        .where(here)
        .values(**values, lease_until=database_now() + study.lease, started=database_now())
    )
    return _as_claim(study, row, worker=worker, fence=fence, attempt=_attempt(token)), lost


def _new_slot(study: Study, worker: str, token: str, slot: int, connection: Connection) -> Claim:
    planned = planned_trial(study.spec, slot)
    start = start_at(study.spec, slot)
    template = None if start is None else start_template(start)
    if planned is not None:
        template = planned_template(study.spec, planned)
    trial_id, number = new_trial(connection, study.study_id, template)
    baseline = None if planned is None else planned.baseline
    connection.execute(
        sa.insert(schema.trials).values(
            study_id=study.study_id,
            place=slot,
            trial_number=number,
            trial_id=trial_id,
            state="claimed",
            worker=worker,
            token=token,
            fence=1,
            lease_until=database_now() + study.lease,
            progress=0.0,
            started=database_now(),
            reference=baseline,
        )
    )
    counters = schema.studies.c
    change = sa.update(schema.studies).where(counters.study_id == study.study_id)
    connection.execute(change.values(places=counters.places + 1))
    return Claim(study, slot, number, trial_id, 1, worker, baseline, None, attempt=_attempt(token))


def _attempt(token: str) -> str:
    return token[:8]
