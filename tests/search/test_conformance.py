"""One behaviour on every database: SQLite, PostgreSQL, MySQL."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import URL

from hpo.testing.storage import StorageConformance


class TestEveryDatabase(StorageConformance):
    @pytest.fixture
    def url(self, any_url: URL) -> URL:
        return any_url
