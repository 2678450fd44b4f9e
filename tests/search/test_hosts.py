"""One host at a time on a SQLite file."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hpo.errors import StorageError
from hpo.search.database import schema, sqlite_host
from hpo.search.database.database import Database, open_database
from tests.mention import unmentioned

ONE, OTHER = "node1/boot-a", "node2/boot-b"


def _silent_for(database: Database, seconds: float) -> None:
    seen = schema.database_now() - seconds
    database.write(lambda connection: connection.execute(sa.update(schema.host).values(seen=seen)))


def _at_work(database: Database) -> list[str]:
    with database.reading() as connection:
        return [str(host) for host in connection.scalars(sa.select(schema.host.c.host))]


def test_a_second_host_is_refused_while_the_first_is_at_work(database: Database) -> None:
    sqlite_host.check(database, ONE)
    sqlite_host.check(database, ONE)
    with pytest.raises(StorageError) as caught:
        sqlite_host.check(database, OTHER)
    assert unmentioned(caught.value, database.address, "node1", "hpo db serve", "hpo db copy") == []
    assert _at_work(database) == [ONE]


def test_another_host_takes_over_after_two_minutes_of_silence(database: Database) -> None:
    sqlite_host.check(database, ONE)
    _silent_for(database, 119)
    with pytest.raises(StorageError, match=r"\bnode1\b"):
        sqlite_host.check(database, OTHER)
    _silent_for(database, 121)
    sqlite_host.check(database, OTHER)
    assert _at_work(database) == [OTHER]


def test_a_sign_of_life_keeps_the_file(database: Database) -> None:
    sqlite_host.check(database, ONE)
    _silent_for(database, 119)
    database.write(lambda connection: sqlite_host.seen(connection, ONE))
    _silent_for(database, 100)
    with pytest.raises(StorageError, match=r"\bnode1\b"):
        sqlite_host.check(database, OTHER)


def test_a_host_that_was_silent_too_long_does_not_take_the_file_back_by_a_sign_of_life(database: Database) -> None:
    sqlite_host.check(database, ONE)
    _silent_for(database, 121)
    sqlite_host.check(database, OTHER)
    database.write(lambda connection: sqlite_host.seen(connection, ONE))
    assert _at_work(database) == [OTHER]


@pytest.mark.parametrize("same", ["node1/boot-later", "container/boot-a"])
def test_a_restarted_host_and_a_container_on_it_are_the_same_host(database: Database, same: str) -> None:
    sqlite_host.check(database, ONE)
    sqlite_host.check(database, same)
    assert _at_work(database) == [same]


def test_hosts_that_do_not_tell_their_boot_go_by_their_names(database: Database) -> None:
    sqlite_host.check(database, "node1")
    with pytest.raises(StorageError, match=r"\bnode1\b"):
        sqlite_host.check(database, "node2")


def test_every_host_may_work_on_a_server(any_database: Database) -> None:
    if any_database.url.get_backend_name() == "sqlite":
        pytest.skip("not a server")
    sqlite_host.check(any_database, ONE)
    sqlite_host.check(any_database, OTHER)
    any_database.write(lambda connection: sqlite_host.seen(connection, ONE))
    assert _at_work(any_database) == []


def test_this_host_keeps_its_name_in_another_process_of_it(database: Database) -> None:
    sqlite_host.check(database)
    again = open_database(database.url, create=False)
    sqlite_host.check(again)
    assert _at_work(again) == [sqlite_host.this_host()]
    again.close()
