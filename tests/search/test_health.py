"""What `hpo doctor` finds out about a database, on each kind of it, without changing a row."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.errors import OutputError, StorageError
from hpo.launch.doctor import database as database_room
from hpo.launch.doctor.database import DatabaseCheck
from hpo.launch.doctor.finding import Check, Finding, run_checks
from hpo.search.admin import health
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.study.files import builtin_study_file, load_spec
from tests.mention import unmentioned


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in findings}


def look(url: URL, study: str | None = None, slow: float = math.inf) -> list[Finding]:
    return list(DatabaseCheck(url.render_as_string(hide_password=False), study, slow).look())


def test_a_database_in_order_is_ok_and_tells_of_its_study(any_database: Database, name: str) -> None:
    create_or_open(any_database, name, load_spec(builtin_study_file("digits")))
    found = look(any_database.url, name)
    assert {finding.verdict for finding in found} == {"ok"}, found
    budget = load_spec(builtin_study_file("digits")).budget.trials
    told = next(finding.text for finding in found if finding.check == "study")
    assert unmentioned(told, name, "digits", 0, budget) == []


def test_the_other_datasets_that_a_study_trains_on_are_known(database: Database) -> None:
    create_or_open(database, "together", load_spec(builtin_study_file("breast"), ("fixed.co_training=all",)))
    check = DatabaseCheck(database.url.render_as_string(hide_password=False), "together", math.inf)
    list(check.look())
    assert (check.dataset, check.others) == ("breast", ("chest", "pneumonia"))


def test_a_database_that_answers_late_is_a_warning(any_database: Database) -> None:
    assert {finding.verdict for finding in look(any_database.url, slow=math.inf)} == {"ok"}
    late = look(any_database.url, slow=0.0)
    assert [finding.check for finding in late if finding.verdict == "warning"] == ["database"]


def test_a_study_that_is_not_there_is_a_fault_of_its_kind(database: Database) -> None:
    (finding,) = [finding for finding in look(database.url, "nothing") if finding.verdict != "ok"]
    assert (finding.check, finding.exit_code) == ("study", 6)


def test_a_database_of_another_version_is_a_fault_that_says_what_to_run(database: Database) -> None:
    database.write(lambda connection: connection.execute(sa.update(schema.version).values(version=1)))
    (older,) = [finding for finding in look(database.url) if finding.check == "tables"]
    assert (older.verdict, older.exit_code) == ("fault", 5)
    assert "hpo db upgrade" in older.cure
    database.write(lambda connection: connection.execute(sa.update(schema.version).values(version=99)))
    (newer,) = [finding for finding in look(database.url) if finding.check == "tables"]
    assert (newer.verdict, newer.exit_code) == ("fault", 5)
    assert unmentioned(newer.text, 99, schema.SCHEMA_VERSION) == []
    assert newer.cure
    assert "hpo db upgrade" not in newer.cure


def test_tables_of_another_optuna_are_a_fault(database: Database) -> None:
    database.write(lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v0.9.0.a'"))
    assert verdicts(look(database.url))["tables"] == "fault"


def test_a_database_without_tables_is_a_warning_and_with_a_study_asked_for_a_fault(tmp_path: Path) -> None:
    url = resolve_address(f"sqlite:///{tmp_path}/empty.db")
    Path(url.database or "").touch()
    assert verdicts(look(url))["tables"] == "warning"
    assert verdicts(look(url, "digits"))["study"] == "fault"


def test_a_file_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    url = resolve_address(f"sqlite:///{tmp_path}/none.db")
    assert verdicts(look(url)) == {"database": "warning"}
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_no_row(any_database: Database, name: str) -> None:
    create_or_open(any_database, name, load_spec(builtin_study_file("digits")))

    def rows() -> dict[str, list[sa.Row[tuple[object, ...]]]]:
        with any_database.engine.connect() as connection:
            return {table.name: list(connection.execute(sa.select(table))) for table in schema.own_tables}

    before = rows()
    look(any_database.url, name)
    assert rows() == before


def test_a_user_who_may_only_read_is_a_fault(postgresql: URL) -> None:
    open_database(postgresql, create=True).close()
    role = f"hpo_reader_{os.getpid()}"
    admin = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    try:
        found = look(postgresql.set(username=role))
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
        admin.dispose()
    (refused,) = [finding for finding in found if finding.verdict == "fault"]
    assert (refused.check, refused.exit_code) == ("database", OutputError.exit_code)
    assert schema.version.name in refused.text


def test_a_server_that_nobody_runs_is_a_storage_error_without_the_password() -> None:
    url = resolve_address("postgresql://u:s3cret@127.0.0.1:9/db")
    (finding,) = list(run_checks([Check("database", lambda: look(url), StorageError)]))
    assert (finding.verdict, finding.exit_code) == ("fault", 5)
    assert "s3cret" not in finding.text


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "verdict"),
    [(0.5, 0.01, "ok"), (-2.5, 0.01, "warning"), (2.5, 1.0, "ok"), (31.0, 0.01, "fault"), (-31.0, 0.01, "fault")],
)
def test_a_clock_that_is_off_warns_above_two_and_faults_above_thirty_seconds(
    postgresql: URL, monkeypatch: pytest.MonkeyPatch, ahead: float, uncertainty: float, verdict: str
) -> None:
    """What the answer's own time leaves open does not count against the clock: 2.5 s within 1 s is 1.5 s at least."""
    monkeypatch.setattr(health, "_clock", lambda _connection: (ahead, uncertainty))
    assert verdicts(look(postgresql))["clock"] == verdict


def test_a_server_with_few_connections_left_is_a_warning(postgresql: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_room, "_FEW_WORKERS", 10**6)
    (few,) = [finding for finding in look(postgresql) if finding.verdict == "warning"]
    assert few.check == "database"
    assert "max_connections" in few.cure
