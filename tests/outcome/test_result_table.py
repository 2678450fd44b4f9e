"""The final result as a table for programs, by `hpo report --csv`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from hpo.outcome.final import store
from hpo.outcome.judgement import judge_final
from hpo.outcome.result_table import RESULT_COLUMNS, result_rows
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.testing.trainer import make_spec
from tests.cli.run import hpo_here
from tests.outcome import simulated


def test_each_configuration_has_a_row_with_the_numbers_of_the_judgement() -> None:
    final = simulated.final()
    judgement = judge_final(final, draws=100)
    rows = result_rows(final, judgement)
    assert all(tuple(row) == RESULT_COLUMNS for row in rows)
    assert [row["test_auc"] for row in rows] == [entry.mean for entry in judgement.entries]
    assert [row["low"] for row in rows] == [entry.interval.low for entry in judgement.entries]
    assert [row["is_winner"] for row in rows] == [True] + [False] * (len(rows) - 1)
    assert [row["networks"] for row in rows] == [len(entry.networks) for entry in final.result.entries]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    create_or_open(database, "breast", make_spec(2))
    database.close()
    return tmp_path


@pytest.mark.slow
def test_on_standard_output_the_table_is_alone(folder: Path) -> None:
    store(simulated.final(), folder / "hpo-results" / "breast")
    done = hpo_here("report", "breast", "--csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["configuration"] for row in rows] == [entry.name for entry in simulated.final().result.entries]
    assert (folder / "hpo-results" / "breast" / "report.html").exists()


@pytest.mark.parametrize("words", [("breast", "--csv", "table.csv"), ("--all", "--csv", "table.csv")], ids=str)
def test_without_a_final_result_or_of_many_nothing_is_written(folder: Path, words: tuple[str, ...]) -> None:
    done = hpo_here("report", *words, cwd=folder)
    assert done.returncode == 2
    assert not (folder / "table.csv").exists()
    assert not (folder / "hpo-results").exists()
