"""Names are exact, also on a server that compares them by a collation."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.errors import StorageError, StudyConflictError, StudyNotFoundError, UsageError
from hpo.search.admin.copy import copy_study
from hpo.search.admin.health import examine
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database, open_database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import end_worker, read_workers, register_worker, this_process
from hpo.search.study import open_study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, ended

ALIKE = [("same", "Same"), ("same", "sàme"), ("same", "same "), ("a😀", "a😁"), ("straße", "strasse"), ("é", "e\u0301")]
"""Names that some collation of MySQL or MariaDB takes for one."""


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_a_study_is_opened_by_exactly_its_name(first: str, second: str, any_database: Database, name: str) -> None:
    first, second = (f"{len(name)}{name[:40]}{word}" for word in (first, second))
    create_or_open(any_database, first, make_spec(3))
    with pytest.raises(StudyNotFoundError):
        open_study(any_database, second)
    assert examine(any_database.url, second).study is None
    assert examine(any_database.url, first).study is not None
    if second != second.strip():
        with pytest.raises(UsageError):
            create_or_open(any_database, second, make_spec(2))
        return
    # Held beside the first, or refused: which of the two is the server's affair.
    with contextlib.suppress(StudyConflictError):
        assert create_or_open(any_database, second, make_spec(2)).name == second
    assert read_status(open_study(any_database, first)).budget == 3


def test_a_copy_is_refused_where_the_server_takes_its_name_for_another(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, f"{name[:60]}-same", make_spec(3))
    if any_database.url.get_backend_name() == "mysql":
        with pytest.raises(StudyConflictError, match="-same"):
            copy_study(study, any_database, f"{name[:60]}-SAME")
    else:
        copy_study(study, any_database, f"{name[:60]}-SAME")


def test_two_workers_are_never_one(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(3))
    register_worker(study, this_process("worker"))
    try:
        register_worker(study, this_process("WORKER"))
    except UsageError:
        assert [worker.name for worker in read_workers(study)] == ["worker"]
    else:
        assert sorted(worker.name for worker in read_workers(study)) == ["WORKER", "worker"]


@pytest.mark.parametrize("worker", ["", "-x", "w" * 300, "a\x1b[2J", "a\nb", " w"])
def test_a_worker_that_cannot_be_named_so_is_refused(worker: str) -> None:
    with pytest.raises(UsageError):
        this_process(worker)


@pytest.mark.parametrize("odd", ["\udcff", "a\0b", "n" * 10_000, "%", "_", "'; --"])
def test_any_text_may_be_asked_for(odd: str, any_database: Database) -> None:
    with pytest.raises(StudyNotFoundError):
        open_study(any_database, odd)


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_letter_that_a_database_has_not_is_a_sentence(server: str, request: pytest.FixtureRequest) -> None:
    url: URL = request.getfixturevalue(server)
    latin = f"{url.database}_latin"
    of_postgresql = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    options = {"postgresql": of_postgresql, "mysql": "CHARSET latin1"}
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {latin} {options[server]}")
    try:
        database = open_database(url.set(database=latin), create=True)
        assert create_or_open(database, "é", make_spec(2)).name == open_study(database, "é").name == "é"
        for use in (lambda: open_study(database, "😀"), lambda: create_or_open(database, "😀", make_spec(2))):
            with pytest.raises(StorageError):
                use()
        database.close()
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {latin}")
        admin.dispose()


ODD = ("a\0b", "\udcff", "\x1b[2J", "x" * 100_000, "😀" * 30_000)


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text[:4]))
def test_any_text_of_an_error_can_be_stored(text: str, any_database: Database, name: str) -> None:
    """Reasons come from libraries and plug-ins; a worker must not die of them."""
    study = create_or_open(any_database, name, make_spec(2))
    assert ended(claimed(study), "failed", reason=text)
    register_worker(study, this_process("w", job=text))
    end_worker(study, "w", finished=0, message=text)
    (trial,), (worker,) = read_trials(study), read_workers(study)
    assert trial.reason
    assert worker.message
    assert worker.job
    assert trial.reason.isprintable()
