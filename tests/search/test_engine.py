"""Settings of connections: locks that are waited for, and stuck transactions that are ended."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.search.creation import create_or_open, set_trials
from hpo.search.database import engine as engine_module
from hpo.search.database import schema
from hpo.search.database.database import Database, open_database
from hpo.search.database.engine import driver_arguments, make_engine
from hpo.search.study import open_study
from hpo.testing.trainer import make_spec
from tests.wait import LIMIT


class TestEveryDatabase:
    def test_a_lock_that_is_held_longer_than_a_statement_waits_is_waited_for(
        self, any_url: URL, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # InnoDB waits whole seconds, one at least.
        seconds = 1 if any_url.get_backend_name() == "mysql" else 0.1
        monkeypatch.setattr(engine_module, "LOCK_SECONDS", seconds)
        monkeypatch.setattr(engine_module, "BUSY_TIMEOUT", seconds)
        holder, waiter = open_database(any_url, create=True), open_database(any_url, create=False)
        study = create_or_open(holder, name, make_spec(1))
        change = sa.update(schema.studies).where(schema.studies.c.study_id == study.study_id)
        given_up = threading.Event()
        sa.event.listen(waiter.engine, "handle_error", lambda _: given_up.set())
        with ThreadPoolExecutor(1) as pool:
            with holder.engine.begin() as connection:
                connection.execute(change.values(trials=5))
                written = pool.submit(waiter.write, lambda there: there.execute(change.values(trials=7)))
                assert given_up.wait(LIMIT)
            written.result(LIMIT)
        assert open_study(waiter, name).spec.budget.trials == 7
        for database in (holder, waiter):
            database.close()

    def test_what_a_forked_process_writes_stays_when_its_parent_has_closed_the_database(
        self, any_url: URL, name: str
    ) -> None:
        database = open_database(any_url, create=True)
        study = create_or_open(database, name, make_spec(1))
        processes = multiprocessing.get_context("fork")
        closed = processes.Event()

        def write() -> None:
            assert closed.wait(LIMIT)
            set_trials(study, 7)

        child = processes.Process(target=write)
        child.start()
        database.close()
        closed.set()
        child.join(LIMIT)
        assert child.exitcode == 0
        after = open_database(any_url, create=False)
        assert open_study(after, name).spec.budget.trials == 7
        after.close()


@pytest.mark.slow
def test_postgresql_ends_the_transaction_of_a_stopped_worker(
    postgresql: URL, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stopped_worker_holds_up_nobody(postgresql, name, monkeypatch)


@pytest.mark.slow
def test_mysql_ends_the_transaction_of_a_stopped_worker(mysql: URL, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _stopped_worker_holds_up_nobody(mysql, name, monkeypatch)


def _stopped_worker_holds_up_nobody(url: URL, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "STUCK_SECONDS", 1)
    open_database(url, create=True).close()
    stopped, other = open_database(url, create=False), open_database(url, create=False)
    study = create_or_open(stopped, name, make_spec(1))
    change = sa.update(schema.studies).where(schema.studies.c.study_id == study.study_id)
    with stopped.engine.connect() as connection:
        connection.execute(change.values(trials=5))
        # The stopped worker says nothing more; the other one gets its lock.
        other.write(lambda there: there.execute(change.values(trials=7)))
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(change.values(trials=9))
        connection.invalidate()
    assert open_study(other, name).spec.budget.trials == 7
    for database in (stopped, other):
        database.close()


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_connection_that_the_server_has_closed_fails_no_read(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(engine_module, "IDLE_SECONDS", 600)
    url: URL = request.getfixturevalue(server)
    database = open_database(url, create=True)
    own = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}[server]
    end = {"postgresql": "SELECT pg_terminate_backend({}, 10000)", "mysql": "KILL {}"}[server]
    admin = sa.create_engine(url, poolclass=sa.NullPool)
    seen: list[int] = []

    def read(connection: sa.Connection) -> int:
        seen.append(connection.exec_driver_sql(f"SELECT {own}").scalar_one())
        if len(seen) == cut_in_the_middle:
            kill()
        return connection.execute(sa.select(sa.func.max(schema.version.c.version))).scalar_one()

    def kill() -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql(end.format(seen[-1]))

    cut_in_the_middle = 2
    for attempts in (1, 3):
        assert database.read(read) == schema.SCHEMA_VERSION
        assert len(seen) == attempts
    kill()
    assert database.read(read) == schema.SCHEMA_VERSION
    assert len(set(seen)) == 3
    # A connection that was lost and replaced at once is no outage.
    assert log == []
    database.close()


def test_an_option_of_the_address_goes_before_ours() -> None:
    url = sa.make_url("postgresql+psycopg://u@h/d?connect_timeout=3&tcp_user_timeout=7")
    arguments = driver_arguments(url)
    assert "connect_timeout" not in arguments
    assert "tcp_user_timeout" not in arguments
    assert arguments["keepalives"] == 1


def test_connections_of_mysql_and_postgresql_are_few() -> None:
    for address in ("postgresql+psycopg://u@h/d", "mysql+pymysql://u@h/d"):
        pool = make_engine(sa.make_url(address)).pool
        assert isinstance(pool, sa.QueuePool)
        assert (pool.size(), pool._max_overflow) == (1, 1)


def test_a_connection_is_given_back_after_an_error(database: Database) -> None:
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            database.write(lambda connection: 1 // 0)
    assert isinstance(database.engine.pool, sa.QueuePool)
    assert database.engine.pool.checkedout() == 0
