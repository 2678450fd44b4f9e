"""SQLite files of others, that cannot be written, or are damaged: read where that is possible, changed by nobody."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.errors import HpoError, OutputError, StorageError
from hpo.search.admin.backup import backup
from hpo.search.admin.health import examine
from hpo.search.admin.migrations import upgrade
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.listing import list_studies
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best, read_trials
from hpo.search.study import open_study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import trained

NOBODY = 65534


def address(path: Path) -> URL:
    return resolve_address(f"sqlite:///{path}")


def studied(path: Path) -> Database:
    """A database with a study of three finished trials."""
    database = open_database(address(path), create=True)
    trained(create_or_open(database, "study", make_spec(3)))
    return database


@cache
def studied_file() -> bytes:
    """The file of such a database, closed."""
    with tempfile.TemporaryDirectory() as folder:
        studied(Path(folder) / "hpo.sqlite3").close()
        return Path(folder, "hpo.sqlite3").read_bytes()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A SQLite file of another program, with a rollback journal."""
    path = tmp_path / "places.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE moz_places (url TEXT); INSERT INTO moz_places VALUES ('x');")
    connection.close()
    return path


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that others may enter, to be made read-only by the test."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-test-closed-"))
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextlib.contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Take the right to write a folder and its files from this process, root or not."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_looking_for_a_study_leaves_a_foreign_file_as_it_is(foreign: Path) -> None:
    before = foreign.read_bytes()
    with pytest.raises(StorageError):
        open_database(address(foreign), create=False)
    assert examine(address(foreign)).version is None
    with pytest.raises(StorageError):
        upgrade(address(foreign))
    assert foreign.read_bytes() == before
    assert [path.name for path in foreign.parent.iterdir()] == [foreign.name]


def test_tables_beside_those_of_another_program_need_to_be_asked_for(foreign: Path) -> None:
    before = foreign.read_bytes()
    with pytest.raises(StorageError, match="moz_places"):
        open_database(address(foreign), create=True)
    assert foreign.read_bytes() == before
    database = open_database(address(foreign), create=True, beside_others=True)
    create_or_open(database, "study", make_spec(3))
    database.close()
    # From now on it is hpo's, too.
    assert [row.name for row in list_studies(open_database(address(foreign), create=True))] == ["study"]


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_the_same_on_a_server(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    open_database(url, create=True).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE others_own (x INTEGER)")
    try:
        # Tables of hpo that exist are used, whatever else there is.
        open_database(url, create=True).close()
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE others_own")
        engine.dispose()


def test_a_database_of_stock_optuna_is_no_foreign_one(tmp_path: Path) -> None:
    import optuna

    optuna.create_study(storage=f"sqlite:///{tmp_path}/optuna.db", study_name="stock")
    database = open_database(address(tmp_path / "optuna.db"), create=True)
    assert create_or_open(database, "study", make_spec(3)).name == "study"


def close(database: Database, path: Path, elsewhere: Path, leaves_log: bool) -> None:
    """Close a database; on request as a crash does, with its last changes in the write-ahead log only."""
    names = (path.name, f"{path.name}-wal") if leaves_log else ()
    for name in names:
        shutil.copyfile(path.with_name(name), elsewhere / name)
    database.close()
    for name in names:
        shutil.copyfile(elsewhere / name, path.with_name(name))


@pytest.mark.parametrize("leaves_log", [False, True])
def test_what_cannot_be_written_can_be_read(leaves_log: bool, closed: Path, tmp_path: Path) -> None:
    path = closed / "hpo.sqlite3"
    close(studied(path), path, tmp_path, leaves_log)
    copy = Path(tempfile.mkdtemp(prefix="hpo-test-copy-"))
    copy.chmod(0o777)
    with unwritable(closed):
        looked = open_database(address(path), create=False)
        study = open_study(looked, "study")
        assert read_status(study).finished == 3
        assert len(read_trials(study)) == len(read_best(study).trials) == 3
        assert backup(looked, copy / "backup.sqlite3") > 0
        assert examine(address(path), "study").studies == 1
        assert len(looked.optuna.get_all_studies()) == 1
        with pytest.raises(OutputError):
            create_or_open(looked, "study", make_spec(4))
        looked.close()
    shutil.rmtree(copy)


@pytest.mark.parametrize("leaves_log", [False, True])
def test_a_reader_that_may_not_write_sees_what_the_owner_writes_later(
    leaves_log: bool, closed: Path, tmp_path: Path
) -> None:
    path = closed / "hpo.sqlite3"
    close(studied(path), path, tmp_path, leaves_log)
    with unwritable(closed):
        looked = open_database(address(path), create=False)
        study = open_study(looked, "study")
        assert (read_status(study).finished, len(looked.optuna.get_all_trials(study.study_id))) == (3, 3)
    for written in (closed, *closed.iterdir()):
        written.chmod(0o755)
    owner = open_database(address(path), create=False)
    trained(create_or_open(owner, "study", make_spec(4)), (0.6,))
    owner.close()
    with unwritable(closed):
        assert (read_status(study).finished, len(looked.optuna.get_all_trials(study.study_id))) == (4, 4)
        looked.close()


def test_a_reading_command_keeps_the_journal_of_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "backup.sqlite3"
    with contextlib.closing(studied(tmp_path / "hpo.sqlite3")) as database:
        backup(database, path)
    before = path.read_bytes()
    looked = open_database(address(path), create=False)
    assert read_status(open_study(looked, "study")).finished == 3
    looked.close()
    assert path.read_bytes() == before
    # A writer switches to the write-ahead log.
    create_or_open(looked, "study", make_spec(4))
    with looked.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    looked.close()


@pytest.mark.parametrize("version", ["abc", 0, -5, 1.5, b"\xff", 2**62])
def test_a_version_that_is_none_is_refused(version: object, tmp_path: Path) -> None:
    path = tmp_path / "hpo.sqlite3"
    open_database(address(path), create=True).close()
    connection = sqlite3.connect(path)
    connection.executescript("ALTER TABLE hpo_version RENAME TO old; CREATE TABLE hpo_version (version)")
    connection.execute("INSERT INTO hpo_version VALUES (?)", (version,))
    connection.commit()
    connection.close()
    for use in (lambda: open_database(address(path), create=False), lambda: upgrade(address(path))):
        with pytest.raises(StorageError):
            use()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("spec", value) for value in ("[/b]", "[]", "{}", '{"dataset": 3}', "[" * 3000, b"\xff")),
        *(("trials", value) for value in ("abc", b"\xff")),
        *(("created_at", value) for value in ("abc", b"")),
    ],
)
def test_a_study_that_no_hpo_stored_is_refused(column: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "hpo.sqlite3"
    path.write_bytes(studied_file())
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE hpo_study SET {column} = ?", (value,))
    connection.commit()
    connection.close()
    with pytest.raises(StorageError):
        open_study(open_database(address(path), create=False), "study")


@pytest.mark.parametrize("place", range(100, 45_000, 1500))
def test_damage_to_a_file_is_no_bug(place: int, tmp_path: Path) -> None:
    path = tmp_path / "hpo.sqlite3"
    content = bytearray(studied_file())
    for offset in range(40):
        content[(place + offset) % len(content)] ^= 0x5A
    path.write_bytes(content)
    with contextlib.suppress(HpoError):
        study = open_study(open_database(address(path), create=False), "study")
        read_status(study)
        read_trials(study)
        read_best(study)
