"""Opening databases: what is made, and what is refused."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from pymysql.constants import ER
from sqlalchemy.engine import URL

from hpo.cli.main import cli
from hpo.errors import OutputError, StorageError
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import new_trial, optuna_tables
from hpo.search.queries.status import read_status
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.mention import unmentioned

VERSION_TABLES = ("alembic_version", "version_info")

SPECIAL = "p@ss/w:o%r{d} x"


def _file(path: Path) -> URL:
    return resolve_address(f"sqlite:///{path}")


def test_a_missing_file_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        open_database(_file(tmp_path / "none.sqlite3"), create=False)
    assert unmentioned(caught.value, tmp_path / "none.sqlite3", "--storage", "HPO_STORAGE") == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path / 'nowhere'}")):
        open_database(_file(tmp_path / "nowhere" / "hpo.sqlite3"), create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path}")):
        open_database(_file(tmp_path / "hpo.sqlite3"), create=True)


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=re.escape(f"{tmp_path}")):
        open_database(_file(tmp_path), create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_reported_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StorageError) as caught:
        open_database(_file(path), create=True)
    assert unmentioned(caught.value, path, "SQLite") == []
    assert path.read_text() == "not a database " * 100


def test_a_database_without_a_study_is_reported(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.sqlite3").execute("CREATE TABLE mine (a)")
    with pytest.raises(StorageError) as caught:
        open_database(_file(tmp_path / "empty.sqlite3"), create=False)
    assert unmentioned(caught.value, tmp_path / "empty.sqlite3", "hpo launch") == []


def test_tables_of_a_newer_hpo_are_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.update(schema.version).values(version=99))
    with pytest.raises(StorageError) as caught:
        open_database(database.url, create=True)
    told = str(caught.value).replace(str(database.url.database), "")
    # An upgrade would not help: the tables are of a newer hpo.
    assert unmentioned(told, 99, schema.SCHEMA_VERSION, "hpo db upgrade") == ["hpo db upgrade"]


def test_a_statement_that_fails_since_the_tables_were_upgraded_is_told_by_their_version(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(2))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hpo_trial RENAME COLUMN progress TO advance")
    with pytest.raises(StorageError, match="progress"):
        read_status(study)
    with database.engine.begin() as connection:
        connection.execute(sa.update(schema.version).values(version=99))
    with pytest.raises(StorageError, match="99, newer"):
        read_status(study)


def test_a_full_disk_is_reported(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(50))
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    sa.event.listen(
        database.engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    )
    with pytest.raises(OutputError, match=re.escape(database.address)) as caught:
        run_worker(study, identity=this_process("w"), train=FakeTrainer())
    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)
    assert getattr(caught.value.__cause__.orig, "sqlite_errorname", None) == "SQLITE_FULL"


def test_paths_with_braces_blanks_and_percent_signs_work(tmp_path: Path) -> None:
    folder = tmp_path / "my {runs} 50%"
    folder.mkdir()
    database = open_database(_file(folder / "a b.sqlite3"), create=True)
    run_worker(create_or_open(database, "study", make_spec(1)), identity=this_process("w"), train=FakeTrainer(1))
    assert [path.name for path in folder.iterdir() if path.suffix == ".sqlite3"] == ["a b.sqlite3"]


def test_sqlite_is_set_up_for_several_processes(database: Database) -> None:
    with database.engine.connect() as connection:
        read = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert read == {"journal_mode": "wal", "synchronous": 1}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_optunas_tables_of_a_new_file_are_those_that_optuna_makes(tmp_path: Path) -> None:
    optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/optuna.sqlite3")
    open_database(_file(tmp_path / "hpo.sqlite3"), create=True).close()
    found = []
    for name in ("optuna", "hpo"):
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite3")) as connection:
            tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'hpo%'")
            versions = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in VERSION_TABLES]
            found.append((sorted(map(repr, tables)), versions))
    assert found[0] == found[1]
    assert len(found[0][0]) > len(optuna_tables())


def test_a_new_file_whose_tables_could_not_all_be_made_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(schema.metadata, "create_all", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_database(_file(tmp_path / "hpo.sqlite3"), create=True)
    with closing(sqlite3.connect(tmp_path / "hpo.sqlite3")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    open_database(_file(tmp_path / "hpo.sqlite3"), create=True).close()


def test_a_reader_waits_for_no_writer(database: Database) -> None:
    create_or_open(database, "study", make_spec(1))
    with database.engine.begin() as connection:
        connection.execute(sa.update(schema.studies).values(trials=9))
        # The writer ends after this only, so a reader that waited for it would fail.
        assert open_study(database, "study").spec.budget.trials == 1


def test_what_fails_inside_a_transaction_leaves_neither_optuna_nor_hpo_with_half_of_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(connection: sa.Connection) -> None:
        new_trial(connection, study.study_id)
        raise ZeroDivisionError

    study = create_or_open(database, "study", make_spec(1))
    with pytest.raises(ZeroDivisionError):
        database.write(half)
    assert database.optuna.get_all_trials(study.study_id) == []


def test_the_schema_is_not_made_under_optunas_table_of_versions(database: Database) -> None:
    with database.engine.connect() as connection:
        names = set(sa.inspect(connection).get_table_names())
    assert {"hpo_version", "hpo_study", "hpo_trial", "hpo_report", "hpo_ledger", "alembic_version", "trials"} <= names


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_server_that_refuses_is_reported_by_its_address_without_the_password(server: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageError, match=f"127.0.0.1:{port}/d") as caught:
        open_database(resolve_address(f"{server}://u:secret@127.0.0.1:{port}/d"), create=True)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_an_unknown_database_is_reported(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    with pytest.raises(StorageError, match="hpo_is_not_there"):
        open_database(url.set(database="hpo_is_not_there"), create=True)


def test_a_wrong_password_is_reported(mysql: URL) -> None:
    with pytest.raises(StorageError) as caught:
        open_database(mysql.set(password="secret"), create=True)
    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)
    assert caught.value.__cause__.orig.args[0] == ER.ACCESS_DENIED_ERROR
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_user_whose_password_has_special_characters_can_work(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    user, password = f"hpo_{os.getpid()}", SPECIAL
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        host = "" if server == "postgresql" else "@'%%'"
        word = "PASSWORD" if server == "postgresql" else "IDENTIFIED BY"
        connection.exec_driver_sql(f"CREATE USER {user}{host} {word} '{password.replace('%', '%%')}'")
        try:
            grant = "SCHEMA public" if server == "postgresql" else f"{url.database}.*"
            connection.exec_driver_sql(f"GRANT ALL ON {grant} TO {user}{host}")
            text = url.set(username=user, password=password).render_as_string(hide_password=False)
            if server == "mysql":
                _work(text)
            else:
                connection.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
                connection.exec_driver_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}")
                _work(text)
        finally:
            if server == "postgresql":
                connection.exec_driver_sql(f"REASSIGN OWNED BY {user} TO CURRENT_USER")
                connection.exec_driver_sql(f"DROP OWNED BY {user}")
            connection.exec_driver_sql(f"DROP USER {user}{host}")


def _work(text: str) -> None:
    name = f"special {os.getpid()}"
    database = open_database(resolve_address(text), create=True)
    study = create_or_open(database, name, make_spec(1))
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(1)).finished == 1
    database.close()
    for command in (["db", "check", "--json"], ["status", name], ["best", name, "--json"], ["status", "no such study"]):
        done = CliRunner().invoke(cli, command, env={"HPO_STORAGE": text})
        said = done.output + str(done.exception)
        assert SPECIAL not in said
        assert quote(SPECIAL, safe="") not in said
    assert "no such study" in said
