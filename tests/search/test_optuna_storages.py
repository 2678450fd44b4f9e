"""Optuna's own suite for storages, over Optuna's storage as hpo sets it up on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase
from sqlalchemy.engine import URL

from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import optuna_tables
from tests.search.conftest import throw_away


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> URL:
    """A SQLite file for all tests of this module."""
    folder: Path = tmp_path_factory.mktemp("suite")
    return resolve_address(f"sqlite:///{folder}/hpo.sqlite3")


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def suite_database(request: pytest.FixtureRequest, file: URL) -> Iterator[Database]:
    """A database of each kind for all tests of the suite; new ones would take it minutes."""
    for url in [file] if request.param == "sqlite" else throw_away(request.param, "suite"):
        database = open_database(url, create=True)
        yield database
        database.close()


pytestmark = pytest.mark.slow

WHOLE_SECONDS = (
    "test_create_new_trial[",
    "test_create_new_trial_with_template_trial[",
    "test_get_trial[",
    "test_get_all_trials[",
)
"""What fails with stock Optuna on MariaDB too: Optuna's times lose their parts of a second there."""


class TestStorageAsConfigured(StorageTestCase):
    @pytest.fixture
    def storage(self, suite_database: Database, request: pytest.FixtureRequest) -> BaseStorage:
        """The storage, with no study in it."""
        if suite_database.url.get_backend_name() == "mysql" and request.node.name.startswith(WHOLE_SECONDS):
            request.applymarker(pytest.mark.xfail(raises=AssertionError, strict=False))
        with suite_database.engine.begin() as connection:
            for table in reversed(_with_rows()):
                connection.execute(sa.delete(table))
        return Database(suite_database.url, suite_database.engine).optuna


def _with_rows() -> list[sa.Table]:
    """Optuna's tables, those first that others refer to, without that of its version."""
    table = optuna_tables()["studies"]
    return [each for each in table.metadata.sorted_tables if each.name != "version_info"]
