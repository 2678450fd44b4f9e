"""Errors of databases are told apart by class and code, in whatever language the server speaks."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL

from hpo.errors import OutputError, StorageError
from hpo.search.database import engine as engine_module
from hpo.search.database.database import open_database
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import ErrorKind, as_hpo_error, kind_of
from tests.mention import unmentioned
from tests.search.driver_errors import (
    UNREADABLE,
    of_mysql,
    of_mysql_client,
    of_postgresql,
    of_postgresql_client,
    of_sqlite,
    wrapped,
)
from tests.search.proxy import Proxy

POSTGRESQL = {
    "40001": ErrorKind.CONFLICT,
    "40P01": ErrorKind.CONFLICT,
    "55P03": ErrorKind.CONFLICT,
    "25P03": ErrorKind.BUSY,
    "53200": ErrorKind.BUSY,
    "53300": ErrorKind.BUSY,
    "57014": ErrorKind.BUSY,
    "57P01": ErrorKind.BUSY,
    "57P02": ErrorKind.BUSY,
    "57P03": ErrorKind.BUSY,
    "57P05": ErrorKind.BUSY,
    "08000": ErrorKind.OUT_OF_REACH,
    "08003": ErrorKind.OUT_OF_REACH,
    "08006": ErrorKind.OUT_OF_REACH,
    "53100": ErrorKind.DISK_FULL,
    "25006": ErrorKind.READ_ONLY,
    "28000": ErrorKind.LOGIN_REFUSED,
    "28P01": ErrorKind.LOGIN_REFUSED,
    "3D000": ErrorKind.NO_DATABASE,
    "57P04": ErrorKind.NO_DATABASE,
    "42501": ErrorKind.NOT_ALLOWED,
    "58030": ErrorKind.OTHER,
    "XX000": ErrorKind.OTHER,
    "42601": ErrorKind.BUG,
    "42P01": ErrorKind.BUG,
    "23503": ErrorKind.BUG,
    "23505": ErrorKind.BUG,
    "22001": ErrorKind.BUG,
    "0A000": ErrorKind.BUG,
}

MYSQL = {
    1020: ErrorKind.CONFLICT,
    1205: ErrorKind.CONFLICT,
    1213: ErrorKind.CONFLICT,
    1040: ErrorKind.BUSY,
    1053: ErrorKind.BUSY,
    1203: ErrorKind.BUSY,
    1226: ErrorKind.BUSY,
    1317: ErrorKind.BUSY,
    1158: ErrorKind.OUT_OF_REACH,
    1927: ErrorKind.OUT_OF_REACH,
    1021: ErrorKind.DISK_FULL,
    1114: ErrorKind.DISK_FULL,
    1290: ErrorKind.READ_ONLY,
    1792: ErrorKind.READ_ONLY,
    1045: ErrorKind.LOGIN_REFUSED,
    1698: ErrorKind.LOGIN_REFUSED,
    1049: ErrorKind.NO_DATABASE,
    1044: ErrorKind.NOT_ALLOWED,
    1142: ErrorKind.NOT_ALLOWED,
    1030: ErrorKind.OTHER,
    1129: ErrorKind.OTHER,
    1064: ErrorKind.BUG,
    1146: ErrorKind.BUG,
    1062: ErrorKind.BUG,
    1452: ErrorKind.BUG,
    1406: ErrorKind.BUG,
    1235: ErrorKind.BUG,
}

SQLITE = {
    sqlite3.SQLITE_BUSY: ErrorKind.BUSY,
    sqlite3.SQLITE_BUSY_RECOVERY: ErrorKind.BUSY,
    sqlite3.SQLITE_LOCKED: ErrorKind.BUSY,
    sqlite3.SQLITE_LOCKED_SHAREDCACHE: ErrorKind.BUSY,
    sqlite3.SQLITE_PROTOCOL: ErrorKind.BUSY,
    sqlite3.SQLITE_BUSY_SNAPSHOT: ErrorKind.CONFLICT,
    sqlite3.SQLITE_FULL: ErrorKind.DISK_FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: ErrorKind.DISK_FULL,
    sqlite3.SQLITE_IOERR_WRITE: ErrorKind.DISK_FAILED,
    sqlite3.SQLITE_READONLY: ErrorKind.READ_ONLY,
    sqlite3.SQLITE_READONLY_DBMOVED: ErrorKind.READ_ONLY,
    sqlite3.SQLITE_PERM: ErrorKind.NOT_ALLOWED,
    sqlite3.SQLITE_CANTOPEN_ISDIR: ErrorKind.CANNOT_OPEN,
    sqlite3.SQLITE_NOTADB: ErrorKind.NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT_INDEX: ErrorKind.DAMAGED,
    sqlite3.SQLITE_NOMEM: ErrorKind.OTHER,
    sqlite3.SQLITE_ERROR: ErrorKind.OTHER,
}


class TestKinds:
    @pytest.mark.parametrize(("sqlstate", "kind"), POSTGRESQL.items())
    def test_postgresql_by_sqlstate(self, sqlstate: str, kind: ErrorKind) -> None:
        assert kind_of(of_postgresql(sqlstate)) is kind

    @pytest.mark.parametrize(("number", "kind"), MYSQL.items())
    def test_mysql_by_number(self, number: int, kind: ErrorKind) -> None:
        assert kind_of(of_mysql(number)) is kind

    @pytest.mark.parametrize(("code", "kind"), SQLITE.items())
    def test_sqlite_by_extended_code(self, code: int, kind: ErrorKind) -> None:
        assert kind_of(of_sqlite(code)) is kind

    @pytest.mark.parametrize("sqlstate", ["40001", "40XL1"])
    def test_an_unknown_number_of_mysql_is_reported_by_its_sqlstate(self, sqlstate: str) -> None:
        assert kind_of(of_mysql(9999, sqlstate=sqlstate)) is ErrorKind.CONFLICT

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ('Fehler beim Speichern der Datei ./a/b.ibd (Fehler: 28 "Kein Platz")', ErrorKind.DISK_FULL),
            ('Fehler beim Speichern der Datei ./a/b.ibd (Fehler: 122 "Kontingent")', ErrorKind.DISK_FULL),
            ('Fehler beim Speichern der Datei ./a/b.ibd (Fehler: 13 "Keine Rechte")', ErrorKind.OTHER),
        ],
    )
    @pytest.mark.parametrize("number", [3, 1026, 1030])
    def test_a_file_that_mysql_cannot_write_is_reported_by_the_errno(
        self, number: int, text: str, kind: ErrorKind
    ) -> None:
        assert kind_of(of_mysql(number, text)) is kind

    @pytest.mark.parametrize("number", [2002, 2003, 2006, 2013, 2055])
    def test_a_connection_that_pymysql_cannot_make_or_loses_is_out_of_reach(self, number: int) -> None:
        assert kind_of(of_mysql_client(pymysql.err.OperationalError(number, UNREADABLE))) is ErrorKind.OUT_OF_REACH

    def test_an_error_of_pymysql_that_is_out_of_step_is_out_of_reach(self) -> None:
        assert kind_of(of_mysql_client(pymysql.err.InternalError(UNREADABLE))) is ErrorKind.OUT_OF_REACH

    def test_a_closed_connection_is_out_of_reach(self) -> None:
        lost = pymysql.err.InterfaceError(0, "")
        assert kind_of(of_mysql_client(lost, invalidated=True)) is ErrorKind.OUT_OF_REACH
        assert kind_of(of_mysql_client(lost)) is ErrorKind.OTHER

    @pytest.mark.parametrize("invalidated", [False, True])
    def test_an_error_of_psycopg_without_a_code_is_out_of_reach(self, invalidated: bool) -> None:
        lost = of_postgresql_client(psycopg.OperationalError(UNREADABLE), invalidated=invalidated)
        assert kind_of(lost) is ErrorKind.OUT_OF_REACH

    def test_a_connection_that_is_ended_with_a_code_goes_by_the_code(self) -> None:
        assert kind_of(of_postgresql("57P01", invalidated=True)) is ErrorKind.BUSY
        assert kind_of(of_postgresql("53100", invalidated=True)) is ErrorKind.DISK_FULL

    def test_an_error_of_sqlite3_itself_has_no_code(self) -> None:
        bare = wrapped(sqlite3.OperationalError(UNREADABLE), sqlite3.Error)
        assert kind_of(bare) is ErrorKind.OTHER
        assert kind_of(wrapped(sqlite3.ProgrammingError(UNREADABLE), sqlite3.Error)) is ErrorKind.BUG

    def test_a_pool_without_a_free_connection_is_busy(self) -> None:
        assert kind_of(sa.exc.TimeoutError()) is ErrorKind.BUSY

    def test_the_error_behind_optunas_counts(self) -> None:
        outer = StorageInternalError()
        outer.__cause__ = of_postgresql("40P01")
        assert kind_of(outer) is ErrorKind.CONFLICT

    def test_what_is_no_error_of_a_database_is_a_bug(self) -> None:
        outer = ValueError()
        outer.__cause__ = of_postgresql("40P01")
        assert kind_of(outer) is ErrorKind.BUG
        assert kind_of(StorageInternalError()) is ErrorKind.BUG


class TestSentences:
    """What `as_hpo_error` raises."""

    @pytest.mark.parametrize(
        "error", [of_postgresql("53100"), of_mysql(1114), of_sqlite(sqlite3.SQLITE_FULL), of_postgresql("25006")]
    )
    def test_a_full_or_read_only_disk_is_an_output_error(self, error: Exception) -> None:
        with pytest.raises(OutputError):
            _raise_through(error)

    @pytest.mark.parametrize(
        "error",
        [
            of_postgresql("40P01"),
            of_postgresql("28P01"),
            of_postgresql("42501"),
            of_postgresql("XX000"),
            of_mysql(1045),
            of_sqlite(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError),
            sa.exc.TimeoutError(),
        ],
    )
    def test_any_other_error_of_the_database_is_a_storage_error(self, error: Exception) -> None:
        with pytest.raises(StorageError):
            _raise_through(error)

    @pytest.mark.parametrize("error", [of_postgresql("42P01"), of_mysql(1062), ZeroDivisionError()])
    def test_a_bug_passes_as_it_is(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught:
            _raise_through(error)
        assert caught.value is error

    @pytest.mark.parametrize(
        ("error", "word"),
        [
            (of_postgresql("28P01", statement=None), "password"),
            (of_mysql(1045, statement=None), "password"),
            (of_postgresql("3D000", statement=None), "name"),
            (of_mysql(1049, statement=None), "name"),
            (of_postgresql("42501"), "right"),
            (of_postgresql("08001", statement=None), "port"),
            (of_postgresql_client(psycopg.OperationalError(UNREADABLE), statement=None), "password"),
            (of_sqlite(sqlite3.SQLITE_BUSY), "lock"),
            (of_sqlite(sqlite3.SQLITE_CANTOPEN), "path"),
            (of_sqlite(sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError), "path"),
        ],
    )
    def test_the_sentence_has_the_servers_text_and_an_advice(self, error: Exception, word: str) -> None:
        with pytest.raises(StorageError) as caught:
            _raise_through(error)
        text, _, advice = str(caught.value).partition(UNREADABLE)
        assert "server.example" in text
        assert word in advice

    def test_the_password_is_not_shown_where_the_server_repeats_it(self) -> None:
        with pytest.raises(StorageError) as caught:
            _raise_through(of_postgresql("28P01", "falsches Passwort: geheim"))
        assert "geheim" not in str(caught.value)


def _raise_through(error: Exception) -> None:
    with as_hpo_error(URL.create("postgresql", "u", "geheim", "server.example", database="d")):
        raise error


class TestSqlite:
    """Errors that SQLite itself raises, through this project's engine."""

    def test_a_file_that_another_transaction_writes_to_is_busy(self, tmp_path: Path) -> None:
        path = _file(tmp_path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert _kind_met(path, lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (2)")) is (
            ErrorKind.BUSY
        )
        other.close()

    def test_a_snapshot_that_another_writer_outdated_is_a_conflict(self, tmp_path: Path) -> None:
        path = _file(tmp_path)
        sqlite3.connect(path).execute("PRAGMA journal_mode = WAL")

        def write_what_was_read(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT * FROM t").all()
            with sqlite3.connect(path) as other:
                other.execute("INSERT INTO t VALUES (3)")
            connection.exec_driver_sql("INSERT INTO t VALUES (4)")

        assert _kind_met(path, write_what_was_read) is ErrorKind.CONFLICT

    def test_a_file_without_space_is_a_full_disk(self, tmp_path: Path) -> None:
        def fill(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            connection.exec_driver_sql("INSERT INTO t VALUES (zeroblob(100000))")

        assert _kind_met(_file(tmp_path), fill) is ErrorKind.DISK_FULL

    def test_a_file_opened_for_reading_is_read_only(self, tmp_path: Path) -> None:
        def write(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.exec_driver_sql("INSERT INTO t VALUES (2)")

        assert _kind_met(_file(tmp_path), write) is ErrorKind.READ_ONLY

    def test_another_file_is_not_a_database(self, tmp_path: Path) -> None:
        path = tmp_path / "notes"
        path.write_text("not a database " * 100)
        assert _kind_met(path, lambda connection: connection.exec_driver_sql("SELECT * FROM t")) is (
            ErrorKind.NOT_A_DATABASE
        )

    def test_a_file_with_flipped_bytes_is_damaged(self, tmp_path: Path) -> None:
        path = _file(tmp_path)
        content = bytearray(path.read_bytes())
        content[100:120] = b"\xff" * 20  # the header of the first page's tree
        path.write_bytes(content)
        assert _kind_met(path, lambda connection: connection.exec_driver_sql("SELECT * FROM t")) is ErrorKind.DAMAGED

    def test_a_folder_cannot_be_opened(self, tmp_path: Path) -> None:
        assert _kind_met(tmp_path, lambda connection: connection.exec_driver_sql("SELECT 1")) is ErrorKind.CANNOT_OPEN


def _file(folder: Path) -> Path:
    path = folder / "any.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    return path


def _kind_met(path: Path, work: Callable[[sa.Connection], object]) -> ErrorKind:
    """The kind of the error that `work` meets in a SQLite file, which it must meet."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool, connect_args={"timeout": 0})
    sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.connect() as connection:
        work(connection)
    return kind_of(caught.value)


class TestRefusedConnections:
    """Connections to PostgreSQL that fail: psycopg keeps no code, though the server sends one."""

    @pytest.mark.linux
    @pytest.mark.parametrize(
        ("sqlstate", "kind"),
        [
            ("28P01", ErrorKind.LOGIN_REFUSED),
            ("28000", ErrorKind.LOGIN_REFUSED),
            ("3D000", ErrorKind.NO_DATABASE),
            ("42501", ErrorKind.NOT_ALLOWED),
            ("53300", ErrorKind.BUSY),
            ("57P03", ErrorKind.BUSY),
            ("58000", ErrorKind.OTHER),
        ],
    )
    def test_a_refusal_goes_by_the_servers_code(
        self, refusing: tuple[URL, Proxy], sqlstate: str, kind: ErrorKind
    ) -> None:
        url, proxy = refusing
        proxy.refusals = [sqlstate] * 2
        error = _met_by_connecting(url)
        assert kind_of(error) is kind
        assert UNREADABLE in str(error)
        assert proxy.refusals == []

    @pytest.mark.linux
    def test_a_server_that_accepts_a_moment_later_is_busy(self, refusing: tuple[URL, Proxy]) -> None:
        url, proxy = refusing
        proxy.refusals = ["57P03"]
        assert kind_of(_met_by_connecting(url)) is ErrorKind.BUSY

    @pytest.mark.linux
    def test_a_server_that_starts_up_is_waited_for_at_first_contact(self, refusing: tuple[URL, Proxy]) -> None:
        url, proxy = refusing
        proxy.refusals = ["57P03"] * 5
        open_database(url, create=True).close()
        assert proxy.refusals == []

    @pytest.mark.linux
    def test_a_wrong_password_is_not_waited_for(self, refusing: tuple[URL, Proxy]) -> None:
        url, proxy = refusing
        proxy.refusals = ["28P01"] * 9
        with pytest.raises(StorageError):
            open_database(url, create=True, known_good=True)
        assert len(proxy.refusals) == 7

    def test_where_the_code_cannot_be_found_out_a_refusal_is_reported_in_the_words_of_the_server(
        self, refusing: tuple[URL, Proxy], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "memfd_create", raising=False)
        url, proxy = refusing
        proxy.refusals = ["28P01"] * 9
        with pytest.raises(StorageError) as refused:
            open_database(url, create=True)
        assert unmentioned(refused.value, UNREADABLE) == []

    def test_a_port_without_a_server_is_out_of_reach(self, postgresql: URL) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            assert kind_of(_met_by_connecting(postgresql.set(port=free.getsockname()[1]))) is ErrorKind.OUT_OF_REACH

    @pytest.mark.parametrize("server", ["postgresql", "mysql"])
    def test_an_unknown_host_and_a_silent_one_are_distinguished(
        self, server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_module, "CONNECT_TIMEOUT", 2)  # libpq waits for no less
        monkeypatch.setattr(engine_module, "SILENCE_SECONDS", 1.0)
        url: URL = request.getfixturevalue(server)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            unknown = _met_by_connecting(url.set(host="host.invalid"))
            unheard = _met_by_connecting(url.set(port=silent.getsockname()[1]))
        for error, word in ((unknown, "name"), (unheard, "firewall")):
            assert kind_of(error) is ErrorKind.OUT_OF_REACH
            with pytest.raises(StorageError, match=word):
                _raise_through(error)


@pytest.fixture
def refusing(postgresql: URL) -> Iterator[tuple[URL, Proxy]]:
    """A PostgreSQL behind a proxy that can refuse connections."""
    with Proxy(postgresql.host or "", postgresql.port or 5432) as proxy:
        yield postgresql.set(port=proxy.port), proxy


def _met_by_connecting(url: URL) -> sa.exc.DBAPIError:
    engine = make_engine(url)
    with pytest.raises(sa.exc.DBAPIError) as caught:
        engine.connect()
    engine.dispose()
    return caught.value
