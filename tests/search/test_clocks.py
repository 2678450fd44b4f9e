"""A database whose clock is set, forward or back, while workers hold trials: no trial is lost or waits for an hour."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from benchmarks.fault_harness.clocks import HOUR, shift_database_clock
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.database.schema import database_now
from hpo.search.queue.claiming import NothingToClaim, claim, renew
from hpo.search.queue.workers import StopRequest, check_in, register_worker, request_stop, this_process
from hpo.search.study import Study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, ended, expire


@dataclass
class _Clock:
    ahead: float = 0.0


@pytest.fixture
def clock(any_database: Database) -> _Clock:
    """The database's clock, which a test may set."""
    clock = _Clock()
    shift_database_clock(any_database.engine, lambda: clock.ahead)
    return clock


@pytest.fixture
def study(any_database: Database, name: str) -> Study:
    """A study of one trial."""
    return create_or_open(any_database, name, make_spec(1))


def test_a_clock_that_is_set_forward_takes_no_trial_from_its_worker(study: Study, clock: _Clock) -> None:
    held = claimed(study, "holder")
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    clock.ahead = HOUR
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    assert renew(held, 0.5).held
    study.database.answered_again -= study.lease
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    assert ended(held)


def test_a_worker_knows_the_clock_from_its_start_on(study: Study, clock: _Clock) -> None:
    register_worker(study, this_process("next"))
    claimed(study, "holder")
    clock.ahead = HOUR
    assert claim(study, "next") is NothingToClaim.ELSEWHERE


def test_the_trial_of_a_dead_worker_waits_for_a_lease_after_the_clock_was_set_forward(
    study: Study, clock: _Clock
) -> None:
    claimed(study, "dead")
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    clock.ahead = HOUR
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    study.database.answered_again -= study.lease
    assert claimed(study, "next").fence == 2


def test_a_clock_that_goes_as_it_should_delays_nothing(study: Study, clock: _Clock) -> None:
    claimed(study, "dead")
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    clock.ahead = study.lease / 3
    expire(study)
    assert claimed(study, "next").fence == 2


def test_a_clock_that_is_set_back_leaves_no_lease_that_lasts_an_hour(study: Study, clock: _Clock) -> None:
    held = claimed(study, "holder")
    clock.ahead = -HOUR
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    left = sa.select(schema.trials.c.lease_until - database_now()).where(schema.trials.c.study_id == study.study_id)
    with study.database.engine.connect() as connection:
        assert 0.0 < float(connection.scalar(left) or 0.0) <= study.lease
    assert renew(held, 0.5).held


def test_workers_stop_when_asked_to_after_the_clock_was_set_back(study: Study, clock: _Clock) -> None:
    def asked(worker: str, started: float) -> StopRequest | None:
        return check_in(study, worker, started, finished=0, message="")

    first = register_worker(study, this_process("first"))
    clock.ahead = -HOUR
    request_stop(study, at_once=True)
    assert asked("first", first) == StopRequest(at_once=True)
    second = register_worker(study, this_process("second"))
    assert asked("second", second) is None
    request_stop(study, at_once=False)
    assert asked("second", second) == StopRequest(at_once=False)
