"""Studies that move: backup, restore and copy between all kinds of databases."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.errors import OutputError, StorageError, StudyConflictError
from hpo.search.admin import backup as module
from hpo.search.admin import copy
from hpo.search.admin.backup import backup, restore
from hpo.search.admin.copy import copy_study, missing_search
from hpo.search.admin.studies import rename_study
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.database.optuna_storage import plain_storage
from hpo.search.database.schema import RowValues
from hpo.search.queries.ledger import StudyLedger, read_openings
from hpo.search.queries.listing import list_studies
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best, read_curve, read_record, read_trials
from hpo.search.queue.claiming import NothingToClaim, claim, release
from hpo.search.queue.reporting import record_report
from hpo.search.study import Study, open_study
from hpo.testing.trainer import make_report, make_spec
from hpo.testing.trials import claimed, ended, trained
from tests.mention import unmentioned
from tests.search.conftest import SERVERS, throw_away
from tests.search.planned import make_confirmation, make_plan

BACKENDS = ("sqlite", "postgresql", "mysql")
PAIRS = [
    pytest.param((one, other), id=f"{one}-to-{other}", marks=[] if other == "sqlite" else pytest.mark.slow)
    for one in BACKENDS
    for other in BACKENDS
    if one != other or one == "sqlite"
]


def _opened(backend: str, folder: Path, word: str) -> Iterator[Database]:
    """An empty database with tables."""
    file = resolve_address(f"sqlite:///{folder}/{word}.sqlite3")
    for url in [file] if backend == "sqlite" else throw_away(backend, word):
        database = open_database(url, create=True)
        yield database
        database.close()


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two databases, each of a kind, in all combinations."""
    one, other = request.param
    for source in _opened(one, tmp_path, "from"):
        for target in _opened(other, tmp_path, "to"):
            yield source, target


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    """A second SQLite database."""
    yield from _opened("sqlite", tmp_path, "other")


def _lived(database: Database, name: str = "study") -> Study:
    """A study with references, three trials that ended, one that runs with a report, and one that came free."""
    study = create_or_open(database, name, make_spec(8, references=True))
    trained(study)
    record_report(claimed(study, "runs"), make_report(1, 0.66, training_loss=float("inf")))
    release(claimed(study, "gave up"))
    return study


def _story(study: Study) -> dict[str, Any]:
    """What a reader sees of a study, but for who works on it."""
    view = optuna.load_study(study_name=study.name, storage=study.database.optuna)
    return {
        "best": read_best(study, count=5),
        "curves": [read_curve(study, number) for number in range(5)],
        "records": [read_record(study, number) for number in range(3)],
        "trials": [(row.number, row.auc, row.params, row.started) for row in read_trials(study)],
        "attributes": (view.user_attrs, view.directions, view.metric_names),
        "optuna": [
            (
                trial.number,
                trial.state,
                trial.params,
                trial.distributions,
                trial.values,
                trial.intermediate_values,
                trial.user_attrs,
                trial.system_attrs,
            )
            for trial in view.trials
        ],
    }


def _times(study: Study) -> list[float]:
    """When Optuna's trials began and ended, in seconds; MySQL and MariaDB keep no parts of one."""
    trials = study.database.optuna.get_all_trials(study.study_id)
    times = [time for trial in trials for time in (trial.datetime_start, trial.datetime_complete)]
    return [time.timestamp() if time else 0.0 for time in times]


class TestEveryPairOfDatabases:
    @pytest.mark.slow
    def test_a_copied_study_tells_the_same_and_goes_on(self, pair: tuple[Database, Database]) -> None:
        source, target = pair
        _lived(target, "was here first")
        original = _lived(source)
        assert copy_study(original, target, "study") == 5
        copied = open_study(target, "study")
        assert _story(copied) == _story(original)
        assert _times(copied) == pytest.approx(_times(original), abs=1.0)
        status = read_status(copied)
        assert (status.finished, status.running, status.free) == (3, [], 2)
        taken_up = [claimed(copied).number for _ in range(5)]
        assert taken_up == [3, 4, 5, 6, 7]
        assert claim(copied, "w") is NothingToClaim.ELSEWHERE
        assert read_status(original).running[0].worker == "runs"

    @pytest.mark.slow
    def test_a_backup_restores_everything_and_both_go_on(self, pair: tuple[Database, Database], tmp_path: Path) -> None:
        source, target = pair
        one, _ = _lived(source, "one"), _lived(source, "two")
        StudyLedger(source).write("one", {"margin": 1.0}, "abc", "first")
        rows = backup(source, tmp_path / "kept.sqlite3")
        assert restore(tmp_path / "kept.sqlite3", target) == rows
        assert [row.name for row in list_studies(target)] == ["one", "two"]
        restored = open_study(target, "one")
        assert _story(restored) == _story(one)
        assert _times(restored) == pytest.approx(_times(one), abs=1.0)
        assert _counts(target) == _counts(source)
        fresh = create_or_open(target, "three", make_spec(1))
        assert ended(claimed(fresh))
        assert StudyLedger(target).write("three", {}, "abc", "") == 2


def _counts(database: Database) -> dict[str, int]:
    with database.engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in [*optuna_tables().values(), *schema.own_tables]
        }


def test_a_name_that_is_taken_is_reported_and_nothing_is_written(database: Database, other: Database) -> None:
    study = _lived(database)
    create_or_open(other, "study", make_spec(1))
    before = _counts(other)
    with pytest.raises(StudyConflictError) as caught:
        copy_study(study, other, "study")
    assert unmentioned(caught.value, other.address, "study", "--name") == []
    assert _counts(other) == before
    copy_study(study, other, "second")
    assert [row.name for row in list_studies(other)] == ["study", "second"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_name_that_is_taken_while_a_study_is_copied_is_reported(
    server: str, database: Database, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, name = _lived(database), request.node.name
    target = open_database(request.getfixturevalue(server), create=True)
    insert = copy._Copy._insert_one

    def insert_late(copying: copy._Copy, table: sa.Table, values: RowValues) -> int:
        monkeypatch.undo()
        create_or_open(target, name, make_spec(1))
        return insert(copying, table, values)

    monkeypatch.setattr(copy._Copy, "_insert_one", insert_late)
    with contextlib.closing(target):
        with pytest.raises(StudyConflictError, match="another --name"):
            copy_study(study, target, name)
        assert read_status(open_study(target, name)).budget == 1


def test_a_study_can_be_copied_beside_itself(database: Database) -> None:
    study = _lived(database)
    copy_study(study, database, "again")
    assert read_best(open_study(database, "again"), 3) == read_best(study, 3)


def test_openings_of_the_test_set_go_with_the_study(database: Database, other: Database) -> None:
    study = _lived(database)
    ledger = StudyLedger(database)
    ledger.write("study", {"margin": 1.0}, "abc", "first")
    ledger.write("another", {"margin": 1.0}, "abc", "not this one")
    copy_study(study, other, "copied")
    with other.engine.connect() as connection:
        rows = connection.execute(sa.select(schema.ledger.c.study, schema.ledger.c.reason)).all()
    assert [tuple(row) for row in rows] == [("copied", "first")]


def test_openings_from_before_a_study_was_renamed_go_with_it(database: Database, other: Database) -> None:
    create_or_open(database, "study", make_spec(1))
    StudyLedger(database).write("study", {"dataset": "breast"}, "abc", "first")
    rename_study(database, "study", "renamed")
    StudyLedger(database).write("renamed", {"dataset": "breast"}, "abc", "second")
    copy_study(open_study(database, "renamed"), other, "renamed")
    assert [opening.reason for opening in read_openings(other, "breast")] == ["first", "second"]


class TestACopyThatBelongsToASearch:
    """A confirmation: `study-confirm`, of the search `study`."""

    @pytest.fixture
    def confirmation(self, database: Database) -> Study:
        create_or_open(database, "study", make_spec(1))
        plan = make_plan().model_copy(update={"search": "study"})
        return create_or_open(database, "study-confirm", make_confirmation(plan))

    @pytest.mark.parametrize(
        ("search", "confirmation_name"), [("study", "study-confirm"), ("new", "new-confirm"), ("new", "any name")]
    )
    def test_it_belongs_to_the_copy_of_its_search(
        self, search: str, confirmation_name: str, database: Database, other: Database, confirmation: Study
    ) -> None:
        create_or_open(other, "study" if search == "new" else "new", make_spec(1))
        copy_study(open_study(database, "study"), other, search)
        copy_study(confirmation, other, confirmation_name)
        copied = open_study(other, confirmation_name)
        assert copied.spec.plan is not None
        assert (copied.spec.plan.search, missing_search(copied)) == (search, None)
        assert claimed(copied).number == 0, "its fingerprint is that of its spec"

    def test_beside_its_search_it_stays_with_it(self, database: Database, confirmation: Study) -> None:
        copy_study(confirmation, database, "second-confirm")
        assert open_study(database, "second-confirm").spec == confirmation.spec

    @pytest.mark.parametrize(("name", "search"), [("new-confirm", "new"), ("any name", "study")])
    def test_without_its_search_it_waits_for_one_of_the_name_that_its_own_begins_with(
        self, name: str, search: str, other: Database, confirmation: Study
    ) -> None:
        copy_study(confirmation, other, name)
        assert missing_search(open_study(other, name)) == search
        create_or_open(other, search, make_spec(1))
        assert missing_search(open_study(other, name)) is None


def test_a_copy_that_fails_halfway_leaves_nothing(
    database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(table: str, done: int, total: int) -> None:
        if table == "hpo_report" and done:
            raise ZeroDivisionError

    study, before = _lived(database), _counts(other)
    with pytest.raises(ZeroDivisionError):
        copy_study(study, other, "study", fails)
    assert _counts(other) == before


def test_the_progress_of_each_table_reaches_its_end(database: Database, tmp_path: Path) -> None:
    _lived(database)
    told: dict[str, tuple[int, int]] = {}
    backup(database, tmp_path / "kept.sqlite3", lambda table, done, total: told.update({table: (done, total)}))
    assert told["trials"] == (5, 5)
    assert all(done == total for done, total in told.values())


def test_a_backup_is_one_file_for_its_owner_that_every_command_reads(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "backups" / "kept.sqlite3"
    _lived(database)
    backup(database, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["kept.sqlite3"]
    assert path.stat().st_mode & 0o777 == 0o600
    copied = open_database(resolve_address(f"sqlite:///{path}"), create=False)
    assert read_status(open_study(copied, "study")).finished == 3
    copied.close()


@pytest.mark.parametrize("temporary", ["/tmp", "network"])
def test_a_backup_is_written_to_a_network_file_system_and_restored_from_it(
    temporary: str, database: Database, other: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all folders of a cluster are on one, the home folder and often TMPDIR too."""
    far = tmp_path / "network"
    far.mkdir()
    mounts = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in (("/", "ext4"), (str(far), "lustre"))]
    monkeypatch.setattr(psutil, "disk_partitions", lambda *, all: mounts)
    monkeypatch.setattr(tempfile, "tempdir", str(far) if temporary == "network" else temporary)
    _lived(database)
    for _ in range(2):
        backup(database, far / "kept.sqlite3")
    assert [entry.name for entry in far.iterdir()] == ["kept.sqlite3"]
    assert (far / "kept.sqlite3").stat().st_mode & 0o777 == 0o600
    restore(far / "kept.sqlite3", other)
    assert read_status(open_study(other, "study")).finished == 3


def test_a_backup_replaces_neither_its_database_nor_another_that_is_worked_on(
    database: Database, other: Database, tmp_path: Path
) -> None:
    """Its workers would write into a file that nobody finds, and its log would be read as part of the backup."""
    study, second = _lived(database), _lived(other, "second")
    kept = tmp_path / "kept.sqlite3"
    (tmp_path / "link.sqlite3").hardlink_to(Path(database.url.database or ""))
    for path in (database.url.database, tmp_path / "link.sqlite3", other.url.database):
        with pytest.raises(OutputError, match=re.escape(f"{path}")):
            backup(database, Path(str(path)))
    other.close()
    with pytest.raises(OutputError, match="no backup"):
        backup(database, Path(str(other.url.database)))
    for _ in range(2):
        backup(database, kept)
    assert ended(claimed(study)), "the database was replaced under its worker"
    assert read_status(open_study(database, "study")).finished == 4
    assert ended(claimed(second))


@pytest.mark.parametrize("is_near", [True, False])
def test_a_database_that_was_not_closed_is_restored_with_what_is_in_its_log(
    is_near: bool, database: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_local", lambda _: is_near)
    _lived(database)
    path = Path(database.url.database or "")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint")
    _lived(database, "only in the log")
    before = path.read_bytes()
    restore(path, other)
    assert [row.name for row in list_studies(other)] == ["study", "only in the log"]
    assert path.read_bytes() == before


def test_a_backup_that_fails_leaves_the_one_before(database: Database, tmp_path: Path) -> None:
    def fails(table: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "kept.sqlite3"
    _lived(database)
    backup(database, path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        backup(database, path, fails)
    assert path.read_bytes() == before
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_backup_is_of_one_moment_while_workers_go_on(database: Database, tmp_path: Path) -> None:
    def works_on(table: str, done: int, total: int) -> None:
        if table == "studies" and not done:
            ended(claimed(study))

    study = create_or_open(database, "study", make_spec(5))
    ended(claimed(study))
    backup(database, tmp_path / "kept.sqlite3", works_on)
    kept = open_database(resolve_address(f"sqlite:///{tmp_path}/kept.sqlite3"), create=False)
    assert len(read_trials(open_study(kept, "study"))) == len(kept.optuna.get_all_trials(1)) == 1
    assert read_status(study).finished == 2
    kept.close()


def test_a_study_that_optuna_deleted_is_not_backed_up(database: Database, tmp_path: Path) -> None:
    plain_storage(database.url).delete_study(_lived(database).study_id)
    assert _counts(database)["hpo_trial"] == 5
    backup(database, tmp_path / "kept.sqlite3")
    kept = open_database(resolve_address(f"sqlite:///{tmp_path}/kept.sqlite3"), create=False)
    assert _counts(kept)["hpo_trial"] == 0
    kept.close()


@pytest.mark.slow
def test_a_database_that_is_not_empty_is_not_restored_into(database: Database, other: Database, tmp_path: Path) -> None:
    _lived(database)
    backup(database, tmp_path / "kept.sqlite3")
    _lived(other, "was here first")
    before = _counts(other)
    with pytest.raises(StorageError, match=re.escape(other.address)):
        restore(tmp_path / "kept.sqlite3", other)
    assert _counts(other) == before


def test_a_backup_of_an_earlier_hpo_is_restored_up_to_date(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "old" / "version-1.sql").read_text())
    connection.close()
    before = path.read_bytes()
    restore(path, database)
    assert read_status(open_study(database, "old study")).finished == 3
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a database " * 99])
def test_a_file_that_is_no_backup_is_reported(database: Database, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content)
    for name in ("notes", "nowhere"):
        with pytest.raises(StorageError, match=re.escape(f"{tmp_path / name}")):
            restore(tmp_path / name, database)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_reported(database: Database, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    path = tmp_path / "closed" / "kept.sqlite3"
    with pytest.raises(OutputError, match=re.escape(f"{path}")):
        backup(database, path)


def test_the_password_of_neither_database_is_in_an_error(database: Database) -> None:
    url = URL.create("postgresql+psycopg", "u", "secret", "127.0.0.1", 1, "d")
    with pytest.raises(StorageError) as caught:
        open_database(url, create=True)
    assert "secret" not in str(caught.value)


def test_a_backup_does_not_replace_a_file_of_another_kind(database: Database, tmp_path: Path) -> None:
    address, begun = tmp_path / "address", tmp_path / "begun.sqlite3"
    address.write_text("postgresql://hpo:secret@node/hpo\n")
    begun.touch()
    with pytest.raises(OutputError):
        backup(database, address)
    assert address.read_text() == "postgresql://hpo:secret@node/hpo\n"
    assert backup(database, begun) == backup(database, begun)
