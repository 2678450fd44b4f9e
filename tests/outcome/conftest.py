"""A database for tests of results, and a data folder of their own, where accesses to test sets are noted."""

from pathlib import Path

import pytest

from tests.search.conftest import database

__all__ = ["database"]


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep accesses of tests out of the user's log, and those of the user out of reports of tests."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("HPO_DATA_DIR", str(folder))
    return folder
