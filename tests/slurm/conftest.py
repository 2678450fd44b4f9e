"""A stand-in for Slurm on PATH, and a database for the studies that are launched on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from tests.search.conftest import empty_sqlite
from tests.slurm.fake import FakeSlurm


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Slurm's commands as stand-ins, and nothing of hpo in the environment."""
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.bin}:/usr/bin:/bin")
    for name in ("HPO_STORAGE", "HPO_CHECKPOINT_DIR", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open SQLite database."""
    (tmp_path / "hpo.sqlite3").write_bytes(empty_sqlite())
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    yield database
    database.close()
