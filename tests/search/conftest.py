"""Databases to test on: a SQLite file, and throw-away databases on local servers where these answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.search.address import resolve_address
from hpo.search.storage import Database, open_database

SERVERS = {
    "postgresql": os.environ.get("HPO_TEST_POSTGRESQL", "postgresql://root@127.0.0.1:5432/postgres"),
    "mysql": os.environ.get("HPO_TEST_MYSQL", "mysql://root@127.0.0.1:3306/test"),
}


def _throw_away(server: str) -> Iterator[URL | None]:
    """A database of its own on a server, dropped afterwards; None if the server does not answer."""
    url = resolve_address(SERVERS[server])
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"hpo_test_{os.getpid()}"
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except sa.exc.OperationalError:
        if os.environ.get("CI"):
            raise
        yield None
        return
    yield url.set(database=name)
    with admin.connect() as connection:
        force = " WITH (FORCE)" if server == "postgresql" else ""
        connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
    admin.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL | None]:
    """A database on PostgreSQL."""
    yield from _throw_away("postgresql")


@pytest.fixture(scope="session")
def mysql() -> Iterator[URL | None]:
    """A database on MySQL or MariaDB."""
    yield from _throw_away("mysql")


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """The address of a database of each kind in turn."""
    if request.param == "sqlite":
        return resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3")
    url = request.getfixturevalue(request.param)
    if url is None:
        pytest.skip(f"no {request.param} server answers at {SERVERS[request.param]}")
    return url


@pytest.fixture
def any_database(any_url: URL) -> Iterator[Database]:
    """An open database of each kind in turn; on a server, with the studies of earlier tests in it."""
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
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    yield database
    database.close()
