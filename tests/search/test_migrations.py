"""Tables of an earlier hpo become those of this one, and what is in them stays."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.errors import StorageError
from hpo.search.admin import migrations
from hpo.search.admin.backup import backup, restore
from hpo.search.admin.migrations import upgrade
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.engine import make_engine
from hpo.search.database.optuna_storage import plain_storage
from hpo.search.queries.listing import list_studies
from hpo.search.queries.scores import read_fold_scores, read_out_of_fold
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best, read_curve
from hpo.search.queue.claiming import claim
from hpo.search.queue.reporting import record_report
from hpo.search.queue.workers import register_worker, this_process
from hpo.search.study import open_study
from hpo.testing.scores import make_scores
from hpo.testing.trainer import make_report, make_spec
from hpo.testing.trials import claimed, ended
from tests.mention import unmentioned
from tests.search.conftest import throw_away

VERSION_1 = Path(__file__).parent / "old" / "version-1.sql"
"""As hpo 0.1.0 left it: three trials of six finished, the fourth begun by a worker that was killed."""


def _old_file(folder: Path) -> URL:
    path = folder / "old.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.read_text())
    connection.close()
    return resolve_address(f"sqlite:///{path}")


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """A database of version 1 on each backend: the kept file, or its own tables and rows moved to a server."""
    source = _old_file(tmp_path)
    if request.param == "sqlite":
        yield source
        return
    for url in throw_away(request.param, "old"):
        plain_storage(url, create=True)
        _move_own_tables(source, url)
        yield url


def _move_own_tables(source: URL, target: URL) -> None:
    """Optuna's rows are left behind, but for the study, which own rows refer to."""
    metadata = sa.MetaData()
    source_engine, target_engine = sa.create_engine(source), make_engine(target)
    metadata.reflect(source_engine, only=lambda table, _: table.startswith("hpo_"))
    own = [table for table in metadata.sorted_tables if table.name.startswith("hpo_")]
    for table in own:
        # SQLite's ledger numbers its rows by itself; elsewhere that has to be said.
        for column in table.columns:
            column.autoincrement = table.name == "hpo_ledger" and column.primary_key
            column.type = sa.Double() if str(column.type) == "DOUBLE" else column.type
    plain_storage(target).create_new_study([optuna.study.StudyDirection.MAXIMIZE], "old study")
    with source_engine.connect() as reading, target_engine.begin() as writing:
        metadata.create_all(writing, tables=own)
        for table in own:
            if rows := [dict(row._mapping) for row in reading.execute(sa.select(table))]:
                writing.execute(sa.insert(table), rows)
    source_engine.dispose()
    target_engine.dispose()


def _shape(engine: sa.Engine) -> dict[str, Any]:
    """Tables of hpo with what can be told of their columns, keys and indices."""
    inspector = sa.inspect(engine)
    own = [table.name for table in schema.own_tables]
    return {
        name: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], _plain_default(column["default"]))
                for column in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "foreign": sorted(
                (key["referred_table"], *key["constrained_columns"], str(key["options"]))
                for key in inspector.get_foreign_keys(name)
            ),
            "indices": sorted(
                (str(index["name"]), *map(str, index["column_names"]), bool(index["unique"]))
                for index in inspector.get_indexes(name)
            ),
        }
        for name in own
    }


def _plain_default(default: str | None) -> str | None:
    return default if default is None else default.strip("'()").replace("false", "0")


class TestEveryDatabase:
    def test_upgraded_tables_are_those_that_are_made_anew(self, old_url: URL, tmp_path: Path) -> None:
        assert upgrade(old_url) == migrations.Upgrade(before=1, after=schema.SCHEMA_VERSION, optuna=False)
        upgraded = make_engine(old_url)
        backend = old_url.get_backend_name()
        news = (
            [resolve_address(f"sqlite:///{tmp_path}/new.sqlite3")]
            if backend == "sqlite"
            else throw_away(backend, "new")
        )
        for new in news:
            fresh = open_database(new, create=True)
            assert _shape(upgraded) == _shape(fresh.engine)
            fresh.close()
        upgraded.dispose()

    def test_a_second_upgrade_changes_nothing(self, old_url: URL) -> None:
        upgrade(old_url)
        assert upgrade(old_url).before == schema.SCHEMA_VERSION

    def test_a_study_of_version_2_takes_scores_after_the_upgrade(self, old_url: URL) -> None:
        upgrade(old_url)
        database = open_database(old_url, create=False)
        create_or_open(database, "study", make_spec(2))
        with database.engine.begin() as connection:
            for table in (schema.scores, schema.scored_samples):
                table.drop(connection)
            connection.execute(sa.update(schema.version).values(version=2))
        with pytest.raises(StorageError, match="hpo db upgrade"):
            open_database(old_url, create=False)
        assert upgrade(old_url).before == 2
        study = open_study(database, "study")
        assert read_out_of_fold(study) is None
        held = claimed(study)
        record_report(held, make_report(study.spec.budget.epochs, 0.7, scores=(make_scores(0.7, 0, 0),)))
        assert list(read_fold_scores(study, held.number)) == [0]
        database.close()

    def test_an_upgrade_that_was_cut_off_is_carried_to_its_end(
        self, old_url: URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def cut_off(operations: Any, connection: sa.Connection) -> None:
            step(operations, connection)
            raise KeyboardInterrupt

        step = migrations.STEPS[1]
        with monkeypatch.context() as patch:
            patch.setitem(migrations.STEPS, 1, cut_off)
            with pytest.raises(KeyboardInterrupt):
                upgrade(old_url)
        assert upgrade(old_url).before == 1
        open_database(old_url, create=False).close()


def test_tables_of_an_older_hpo_are_refused_with_the_cure(tmp_path: Path) -> None:
    url = _old_file(tmp_path)
    with pytest.raises(StorageError) as caught:
        open_database(url, create=True)
    told = str(caught.value).replace(str(url.database), "")
    assert unmentioned(told, 1, schema.SCHEMA_VERSION, "hpo db upgrade") == []


def test_an_old_study_still_reads_and_goes_on_after_the_upgrade(tmp_path: Path) -> None:
    url = _old_file(tmp_path)
    upgrade(url)
    database = open_database(url, create=False)
    study = open_study(database, "old study")
    status = read_status(study)
    assert (status.budget, status.finished, status.free) == (6, 3, 1)
    assert [point.epoch for point in read_curve(study, 0)] == [1, 2, 3, 4]
    before = read_best(study, count=3)
    killed = claimed(study)
    assert (killed.number, killed.fence) == (3, 2)
    assert ended(killed, auc=0.6)
    assert ended(claimed(study), auc=0.5)
    assert [trial.value for trial in read_best(study, count=3).trials] == [trial.value for trial in before.trials]
    assert read_status(study).finished == 5
    database.close()


def test_optunas_older_tables_are_upgraded_too(tmp_path: Path) -> None:
    url = _old_file(tmp_path)
    connection = sqlite3.connect(str(url.database))
    connection.executescript("DROP INDEX ix_trials_study_id; UPDATE alembic_version SET version_num = 'v3.0.0.d';")
    connection.close()
    with pytest.raises(StorageError) as caught:
        plain_storage(url)
    assert unmentioned(caught.value, optuna.__version__, "hpo db upgrade") == []
    assert upgrade(url).optuna
    assert plain_storage(url).get_current_version() == plain_storage(url).get_head_version()


def test_tables_of_a_newer_optuna_are_refused_and_no_upgrade_of_them_is_offered(tmp_path: Path) -> None:
    url = _old_file(tmp_path)
    connection = sqlite3.connect(str(url.database))
    connection.executescript("UPDATE alembic_version SET version_num = 'v99.0.0';")
    connection.close()
    for refused in (upgrade, plain_storage):
        with pytest.raises(StorageError) as caught:
            refused(url)
        assert unmentioned(caught.value, "Optuna", "hpo db upgrade") == ["hpo db upgrade"]


def test_a_database_with_the_table_of_hosts_that_earlier_versions_had_opens_as_it_is(
    database: Database, tmp_path: Path
) -> None:
    def leave_host(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE hpo_host (host VARCHAR(255) PRIMARY KEY, seen DOUBLE NOT NULL)")
        connection.execute(sa.text("INSERT INTO hpo_host SELECT 'elsewhere/boot', :now"), {"now": time.time()})

    database.write(leave_host)
    again = open_database(database.url, create=False)
    study = create_or_open(again, "study", make_spec(2))
    register_worker(study, this_process("w"))
    assert ended(claimed(study))
    backup(again, tmp_path / "backup.sqlite3")
    restored = open_database(resolve_address(f"sqlite:///{tmp_path}/restored.sqlite3"), create=True)
    restore(tmp_path / "backup.sqlite3", restored)
    assert read_status(open_study(restored, "study")).finished == 1
    for each in (again, restored):
        each.close()


def test_no_trial_is_claimed_and_no_study_made_in_tables_of_another_optuna(tmp_path: Path) -> None:
    url = resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3")
    database = open_database(url, create=True)
    create_or_open(database, "study", make_spec(2))
    database.close()
    connection = sqlite3.connect(str(url.database))
    connection.executescript("UPDATE alembic_version SET version_num = 'v3.0.0.d';")
    connection.close()
    database = open_database(url, create=False)
    study = open_study(database, "study")
    with pytest.raises(StorageError):
        claim(study, "w")
    with pytest.raises(StorageError):
        create_or_open(database, "other", make_spec(2))
    assert [row.name for row in list_studies(database)] == ["study"]
    assert read_status(study).running == []
    database.close()


def test_there_is_a_step_from_each_earlier_version() -> None:
    assert list(migrations.STEPS) == list(range(1, schema.SCHEMA_VERSION))


def test_nothing_to_upgrade_is_reported(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.sqlite3").execute("CREATE TABLE mine (a)")
    with pytest.raises(StorageError, match="`hpo db init`"):
        upgrade(resolve_address(f"sqlite:///{tmp_path}/empty.sqlite3"))


def test_the_kept_file_is_what_an_earlier_hpo_made() -> None:
    text = VERSION_1.read_text()
    assert "lives_lost" not in text
    assert VERSION_1.stat().st_size < 50_000
