"""Servers whose messages are in German: what passes is run again, what does not is told, as with any other language."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from hpo.errors import StorageError
from hpo.search.database import engine as engine_module
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.engine import make_engine
from hpo.search.database.errors import ErrorKind, kind_of
from tests.search.conftest import throw_away
from tests.search.private import PrivateServer, translated_programs

pytestmark = pytest.mark.slow

ROWS = sa.Table("met", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("value", sa.Integer))


@pytest.fixture(scope="module")
def german_postgresql() -> Iterator[PrivateServer]:
    """A PostgreSQL of the tests' own that speaks German."""
    programs = translated_programs()
    if programs is None:
        pytest.skip("no PostgreSQL with translations is installed here")
    server = PrivateServer(programs, "de")
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["postgresql", "mysql"])
def german(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database on a German server of each kind, with two rows to meet in."""
    monkeypatch.setattr(engine_module, "LOCK_SECONDS", 2)
    if request.param == "postgresql":
        database = open_database(resolve_address(request.getfixturevalue("german_postgresql").address), create=True)
        yield from _with_rows(database)
        return
    for url in throw_away("mysql", "german"):
        database = open_database(url, create=True)
        sa.event.listen(database.engine, "connect", _speak_german)
        database.engine.dispose()
        yield from _with_rows(database)


def _speak_german(connection: object, _record: object) -> None:
    connection.cursor().execute("SET SESSION lc_messages = 'de_DE'")  # type: ignore[attr-defined]


def _with_rows(database: Database) -> Iterator[Database]:
    with pytest.raises(sa.exc.DBAPIError) as caught, database.engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM nirgends")
    if "existiert nicht" not in str(caught.value.orig):
        pytest.skip("the translations of this server are not installed")
    with database.engine.begin() as connection:
        ROWS.drop(connection, checkfirst=True)
        ROWS.create(connection)
        connection.execute(sa.insert(ROWS), [{"id": 1, "value": 0}, {"id": 2, "value": 0}])
    yield database
    database.close()


@dataclass
class Met:
    """Kinds of the errors that a transaction met, in the order of its tries."""

    kinds: list[ErrorKind] = field(default_factory=list)

    def watch(self, work: Callable[[Connection, int], None]) -> Callable[[Connection], None]:
        """Call `work` with the number of the try, and note its error."""
        tries = iter(range(1000))

        def watched(connection: Connection) -> None:
            try:
                work(connection, next(tries))
            except sa.exc.DBAPIError as error:
                self.kinds.append(kind_of(error))
                raise

        return watched


def _add(connection: Connection, row: int) -> None:
    connection.execute(sa.update(ROWS).where(ROWS.c.id == row).values(value=ROWS.c.value + 1))


def _values(database: Database) -> list[int]:
    return database.read(lambda connection: list(connection.scalars(sa.select(ROWS.c.value).order_by(ROWS.c.id))))


def test_a_deadlock_is_run_again(german: Database) -> None:
    met, both_hold_one = Met(), threading.Barrier(2)

    def add_to_both(first: int, second: int) -> None:
        def work(connection: Connection, attempt: int) -> None:
            _add(connection, first)
            if attempt == 0:
                both_hold_one.wait(60)
            _add(connection, second)

        german.write(met.watch(work))

    threads = [threading.Thread(target=add_to_both, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met.kinds == [ErrorKind.CONFLICT]
    assert _values(german) == [2, 2]


def test_a_lock_that_is_not_given_in_time_is_run_again(german: Database) -> None:
    met, holder = Met(), german.engine.connect()
    _add(holder, 1)

    def work(connection: Connection, attempt: int) -> None:
        if attempt == 1:
            holder.rollback()
        _add(connection, 1)

    german.write(met.watch(work))
    holder.close()
    assert met.kinds == [ErrorKind.CONFLICT]
    assert _values(german) == [1, 0]


def test_a_connection_that_an_administrator_ends_is_run_again(german: Database) -> None:
    met, is_postgresql = Met(), german.engine.dialect.name == "postgresql"

    def work(connection: Connection, attempt: int) -> None:
        if attempt == 0:
            own = connection.scalar(sa.select(sa.func.pg_backend_pid() if is_postgresql else sa.func.connection_id()))
            with german.engine.connect() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({own})" if is_postgresql else f"KILL {own}")
        _add(connection, 1)

    german.write(met.watch(work))
    assert met.kinds == [ErrorKind.BUSY if is_postgresql else ErrorKind.OUT_OF_REACH]
    assert _values(german) == [1, 0]


class TestPostgresql:
    @pytest.fixture
    def german(self, german_postgresql: PrivateServer) -> Iterator[Database]:
        yield from _with_rows(open_database(resolve_address(german_postgresql.address), create=True))

    def test_a_transaction_that_cannot_be_serialized_is_run_again(self, german: Database) -> None:
        met = Met()

        def work(connection: Connection, attempt: int) -> None:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            connection.execute(sa.select(ROWS)).all()
            if attempt == 0:
                with german.engine.begin() as other:
                    _add(other, 1)
            _add(connection, 1)

        german.write(met.watch(work))
        assert met.kinds == [ErrorKind.CONFLICT]
        assert _values(german) == [2, 0]

    @pytest.mark.parametrize(
        ("wrong", "kind"),
        [
            ({"password": "falsch"}, ErrorKind.LOGIN_REFUSED),
            ({"username": "niemand"}, ErrorKind.LOGIN_REFUSED),
            ({"database": "nirgends"}, ErrorKind.NO_DATABASE),
        ],
    )
    def test_a_wrong_address_is_reported_at_once(
        self, german: Database, wrong: dict[str, str], kind: ErrorKind
    ) -> None:
        url = german.url.set(**wrong)  # type: ignore[arg-type]
        assert kind_of(_met_by_connecting(url)) is kind
        with pytest.raises(StorageError):
            open_database(url, create=True, known_good=True)

    def test_a_free_connection_is_waited_for(self, german: Database) -> None:
        with german.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE ROLE einer LOGIN PASSWORD 'p' CONNECTION LIMIT 1 IN ROLE pg_read_all_data"
            )
        url = german.url.set(username="einer", password="p")
        try:
            holder = sa.create_engine(url, poolclass=sa.NullPool).connect()
            assert kind_of(_met_by_connecting(url)) is ErrorKind.BUSY
            threading.Timer(0.5, holder.close).start()
            open_database(url, create=False).close()
        finally:
            with german.engine.begin() as connection:
                connection.exec_driver_sql("DROP ROLE einer")

    def test_a_server_that_shuts_down_is_busy(self, german_postgresql: PrivateServer, german: Database) -> None:
        holder = german.engine.connect()
        assert german_postgresql.cluster is not None
        process = int((german_postgresql.cluster.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(process, signal.SIGTERM)  # it ends when the last connection is closed, and refuses others until then
        refused = None
        while refused is None:
            try:
                make_engine(german.url).connect().close()
            except sa.exc.OperationalError as error:
                refused = error
        assert kind_of(refused) is ErrorKind.BUSY
        holder.close()
        german_postgresql.stop()
        german_postgresql.start()


def _met_by_connecting(url: URL) -> sa.exc.DBAPIError:
    engine = make_engine(url)
    with pytest.raises(sa.exc.DBAPIError) as caught:
        engine.connect()
    engine.dispose()
    return caught.value
