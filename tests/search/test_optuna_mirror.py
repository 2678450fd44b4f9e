"""The mirror in Optuna's tables: written by one module, and only where the tables are the known ones."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.study import StudyDirection

from hpo.errors import StorageError
from hpo.search.creation import METRIC, create_or_open
from hpo.search.database import optuna_mirror
from hpo.search.database.database import Database
from hpo.search.database.optuna_mirror import COLUMNS, changed_columns, new_study, optuna_tables
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, ended

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(r"optuna\.storages\._|from optuna\.storages import _|_rdb\b.*\bimport|import_module\(.optuna")
"""What import-linter cannot tell from other imports of Optuna."""


def _tables(leave_out: str = "", extra: sa.Column[int] | None = None) -> dict[str, sa.Table]:
    """Optuna's tables without TABLE or TABLE.COLUMN, or with one more column in each."""
    metadata, copied = sa.MetaData(), {}
    for name, table in optuna_tables().items():
        columns = [
            sa.Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
            for column in table.columns
            if f"{name}.{column.name}" != leave_out
        ]
        if extra is not None:
            columns.append(sa.Column(extra.name, extra.type, nullable=extra.nullable, default=extra.default))
        if name != leave_out:
            copied[name] = sa.Table(name, metadata, *columns)
    return copied


def test_one_module_has_optunas_private_tables() -> None:
    files = [file for folder in ("hpo", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    found = {str(file.relative_to(ROOT)) for file in files if PRIVATE.search(file.read_text())}
    assert found == {"hpo/search/database/optuna_mirror.py"}


def test_the_tables_of_the_installed_optuna_are_those_that_hpo_writes() -> None:
    assert changed_columns(optuna_tables()) == []


@pytest.mark.parametrize("gone", [f"{table}.{column}" for table in COLUMNS for column in COLUMNS[table]])
def test_a_column_that_is_gone_is_named_with_its_table(gone: str) -> None:
    (problem,) = changed_columns(_tables(leave_out=gone))
    assert all(re.search(rf"\b{word}\b", problem) for word in gone.split("."))


def test_a_table_that_is_gone_is_named() -> None:
    (problem,) = changed_columns(_tables(leave_out="trial_params"))
    assert "trial_params" in problem


def test_a_new_column_is_a_problem_only_where_a_row_needs_it() -> None:
    assert changed_columns(_tables(extra=sa.Column("heat", sa.Integer))) == []
    assert changed_columns(_tables(extra=sa.Column("heat", sa.Integer, nullable=False, default=1))) == []
    problems = changed_columns(_tables(extra=sa.Column("heat", sa.Integer, nullable=False)))
    assert len(problems) == len(COLUMNS)
    assert all(table in problem and "heat" in problem for table, problem in zip(COLUMNS, problems, strict=True))


def test_a_study_is_one_of_optunas_that_maximizes_the_validation_auc(any_database: Database, name: str) -> None:
    create_or_open(any_database, name, make_spec(1))
    shown = optuna.load_study(study_name=name, storage=any_database.optuna)
    assert (shown.directions, shown.metric_names) == ([StudyDirection.MAXIMIZE], [METRIC])


def test_a_study_of_the_same_name_is_not_made_again(any_database: Database, name: str) -> None:
    any_database.write(lambda connection: new_study(connection, name, METRIC))
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        any_database.write(lambda connection: new_study(connection, name, METRIC))
    assert name in {study.study_name for study in any_database.optuna.get_all_studies()}


def test_optuna_shows_times_on_the_clock_of_the_reader(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        before = datetime.now()
        study = create_or_open(database, "study", make_spec(1))
        ended(claimed(study))
        (shown,) = database.optuna.get_all_trials(study.study_id)
        after = datetime.now()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown.datetime_start is not None
    assert shown.datetime_complete is not None
    assert before <= shown.datetime_start <= shown.datetime_complete <= after


def test_with_an_optuna_of_other_tables_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optuna_mirror.COLUMNS, "trials", ("trial_id", "temperature"))
    optuna_tables.cache_clear()
    with pytest.raises(StorageError) as caught:
        optuna_tables()
    assert all(word in str(caught.value) for word in ("trials", "temperature"))
