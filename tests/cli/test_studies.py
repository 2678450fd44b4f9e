"""`hpo studies`, `hpo delete` and `hpo rename` on a database of three studies."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import optuna
import pytest

from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.ledger import StudyLedger
from hpo.search.queries.listing import list_studies
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, trained
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose database has a search of three trials and its confirmation, a study at work, and one of Optuna."""
    database = database_in(tmp_path)
    search = create_or_open(database, "first", make_spec(3))
    trained(search)
    StudyLedger(database).write("first", {"dataset": "breast"}, "abc", "")
    create_or_open(database, "first-confirm", make_confirmation(make_plan().model_copy(update={"search": "first"})))
    claimed(create_or_open(database, "second", make_spec(4)), "its worker")
    optuna.create_study(study_name="stock", storage=database.optuna)
    database.close()
    return tmp_path


def database_in(folder: Path) -> Database:
    return open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=True)


def names(folder: Path) -> list[str]:
    database = database_in(folder)
    found = [row.name for row in list_studies(database)]
    database.close()
    return found


def test_a_database_without_studies_is_told_in_a_sentence(tmp_path: Path) -> None:
    database_in(tmp_path).close()
    run = hpo_here("studies", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "")
    assert unmentioned(run.stderr, "no study yet", "`hpo launch`") == []
    assert hpo_here("studies", "--json", cwd=tmp_path).stdout.strip() == "[]"


def test_the_list_says_what_is_done_running_and_unfinished(folder: Path) -> None:
    rows = json.loads(hpo_here("studies", "--json", cwd=folder).stdout)
    assert [(row["name"], row["state"], row["running"], row["search"]) for row in rows] == [
        ("first", "done", 0, None),
        ("first-confirm", "unfinished", 0, "first"),
        ("second", "running", 1, None),
    ]
    assert rows[0]["best_auc"] == 0.9
    run = hpo_here("studies", cwd=folder)
    assert run.returncode == 0
    assert unmentioned(run.stdout, "first-confirm", "running", 3, ".900") == []
    assert unmentioned(run.stderr, "stock") == []


def test_the_list_shows_whole_names_on_a_narrow_terminal(folder: Path) -> None:
    shown = hpo_here("studies", cwd=folder, COLUMNS="60").stdout
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert "first-confirm" in "".join(cells_of[0] for cells_of in cells)


def test_nothing_is_deleted_without_an_answer(folder: Path) -> None:
    run = hpo_here("delete", "first", cwd=folder)
    assert run.returncode == 2
    assert unmentioned(run.stderr, "first-confirm", "--yes", 3, 1) == []
    assert "first" in names(folder)


def test_a_study_goes_with_its_confirmation_and_leaves_the_access_log(folder: Path) -> None:
    run = hpo_here("delete", "first", "--yes", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    deletion = json.loads(run.stdout)
    assert [one["name"] for one in deletion["studies"]] == ["first", "first-confirm"]
    assert deletion["accesses"] == 1
    assert names(folder) == ["second"]


def test_a_study_at_work_is_deleted_by_force_only(folder: Path) -> None:
    run = hpo_here("delete", "second", "--yes", cwd=folder)
    assert run.returncode == 2
    assert unmentioned(run.stderr, "its worker", "hpo stop --now second") == []
    assert hpo_here("delete", "second", "--yes", "--force", cwd=folder).returncode == 0
    assert "second" not in names(folder)


def test_a_study_is_renamed_with_its_confirmation(folder: Path) -> None:
    (folder / "hpo-results" / "first").mkdir(parents=True)
    run = hpo_here("rename", "first", "better", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert unmentioned(run.stderr, "hpo-results/first", "better") == []
    assert names(folder) == ["better", "better-confirm", "second"]
    assert json.loads(hpo_here("studies", "--json", cwd=folder).stdout)[1]["search"] == "better"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("delete", "frist", "--yes"), 6),
        (("rename", "frist", "x"), 6),
        (("rename", "first", "second"), 7),
        (("rename", "first", "stock"), 7),
        (("rename", "second", "x"), 2),
        (("rename", "first", " x"), 2),
    ],
)
def test_what_cannot_be_done_changes_nothing(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    run = hpo_here(*arguments, cwd=folder)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert names(folder) == ["first", "first-confirm", "second"]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("hpo_study", "spec", "{broken"),
        ("hpo_study", "spec", b"\xff"),
        ("hpo_study", "created_at", "yesterday"),
        ("hpo_study", "finished", "many"),
        ("hpo_trial", "outcome = 'complete', auc", b"\xff"),
        ("hpo_trial", "worker", b"\xff"),
        ("study_system_attributes", "value_json", b"\xff"),
    ],
)
def test_a_damaged_study_is_named_and_deleted_and_does_not_touch_the_others(
    folder: Path, table: str, column: str, value: object
) -> None:
    with contextlib.closing(sqlite3.connect(folder / "hpo.sqlite3")) as file, file:
        (number,) = file.execute("SELECT study_id FROM hpo_study WHERE name = 'second'").fetchone()
        file.execute(f"UPDATE {table} SET {column} = ? WHERE study_id = ?", (value, number))
    run = hpo_here("studies", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    listed = [row["name"] for row in json.loads(run.stdout)]
    assert [name for name in listed if name != "second"] == ["first", "first-confirm"]
    if table == "hpo_study" or "auc" in column:
        assert unmentioned(run.stderr, "second", "hpo delete second") == []
    assert hpo_here("rename", "first", "third", cwd=folder).returncode == 0
    assert hpo_here("delete", "second", "--yes", "--force", cwd=folder).returncode == 0
    assert names(folder) == ["third", "third-confirm"]


def test_a_file_whose_only_study_is_damaged_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    create_or_open(database, "only", make_spec(3))
    database.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "hpo.sqlite3")) as file, file:
        file.execute("UPDATE hpo_study SET finished = 'many'")
    run = hpo_here("status", cwd=tmp_path)
    assert run.returncode == 5
    assert unmentioned(run.stderr, "only", "'many'") == []


def test_a_name_may_be_left_out_where_there_is_one_study(tmp_path: Path) -> None:
    made = ["launch", "digits", "--on", "none"]
    assert hpo_here(*made, cwd=tmp_path).returncode == 0
    for command in ("status", "trials", "best", "stop"):
        run = hpo_here(command, "--json", cwd=tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(hpo_here("status", "--json", cwd=tmp_path).stdout)["name"] == "digits"
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=False)
    plan = make_plan().model_copy(update={"search": "digits"})
    create_or_open(database, "digits-confirm", make_confirmation(plan))
    database.close()
    assert json.loads(hpo_here("status", "--json", cwd=tmp_path).stdout)["name"] == "digits", "of a search and its own"
    assert hpo_here(*made, "--name", "two words", cwd=tmp_path).returncode == 0
    several = hpo_here("status", cwd=tmp_path)
    assert several.returncode == 2
    assert unmentioned(several.stderr, "digits", "'two words'", "hpo studies") == []


def test_help_is_a_command_too(tmp_path: Path) -> None:
    run = hpo_here("help", "data", "fetch", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, hpo_here("data", "fetch", "--help", cwd=tmp_path).stdout)
    assert hpo_here("help", cwd=tmp_path).stdout == hpo_here("--help", cwd=tmp_path).stdout
