"""`--csv` of the commands that have `--json`: the same facts as one table."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest

import hpo
from hpo.cli.csv_file import write_csv
from hpo.outcome.leaderboard import LEADERBOARD_COLUMNS
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.study import open_study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, trained
from tests.cli.run import hpo_here
from tests.mention import unmentioned


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose database has a study of four trials, three of them complete."""
    folder = tmp_path_factory.mktemp("csv")
    database = open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=True)
    study = create_or_open(database, "first", make_spec(4))
    trained(study)
    claimed(study, "its worker")
    database.close()
    return folder


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_of_trials_is_that_of_the_interface(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = hpo_here("trials", "first", "--csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(io.StringIO(done.stdout), parse_dates=["started", "ended"])
    monkeypatch.chdir(folder)
    expected = hpo.trials_dataframe(hpo.open_study("first"))
    assert list(found.columns) == list(expected.columns)
    assert found["state"].tolist() == ["complete"] * 3 + ["running"]
    assert found["auc"].tolist()[:3] == expected["auc"].tolist()[:3]
    assert (found["started"] - expected["started"]).abs().max() < pd.Timedelta(seconds=1)


def test_a_file_is_written_whole_and_its_rows_are_counted(folder: Path) -> None:
    done = hpo_here("best", "first", "--count", "2", "--csv", "best.csv", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert unmentioned(done.stderr, "best.csv", 2) == []
    rows = table((folder / "best.csv").read_text())
    ranking = json.loads(hpo_here("best", "first", "--count", "2", "--json", cwd=folder).stdout)
    assert [(row["rank"], float(row["auc"]), float(row["low"])) for row in rows] == [
        (str(trial["rank"]), trial["value"]["auc"], trial["value"]["low"]) for trial in ranking["trials"]
    ]
    assert set(rows[0]) >= {"params_learning_rate", "standard_error", "high"}


def test_a_ranking_has_the_same_columns_before_a_trial_is_complete(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    for name in ("one", "none"):
        create_or_open(database, name, make_spec(1))
    trained(open_study(database, "one"), (0.7,))
    database.close()
    one, none = (hpo_here("best", name, "--csv", cwd=tmp_path).stdout.splitlines() for name in ("one", "none"))
    assert (len(one), none) == (2, one[:1])


def test_a_trial_is_its_curve_and_a_study_is_one_row(folder: Path) -> None:
    curve = table(hpo_here("trials", "first", "0", "--csv", "-", cwd=folder).stdout)
    assert [row["epoch"] for row in curve] == [str(number + 1) for number in range(len(curve))]
    assert len(curve) > 0
    assert curve[-1]["fold_aucs"].split()[0].startswith("0.")
    status = table(hpo_here("status", "first", "--csv", cwd=folder).stdout)
    assert [(row["finished"], row["budget"], row["running"]) for row in status] == [("3", "4", "1")]
    studies = table(hpo_here("studies", "--csv", cwd=folder).stdout)
    assert [(row["name"], row["state"]) for row in studies] == [("first", "running")]


@pytest.mark.parametrize(
    ("arguments", "code", "facts"),
    [
        (("trials", "first", "--json", "--csv"), 2, ("--json", "--csv")),
        (("best", "first", "--csv", "none/best.csv"), 9, ("none/best.csv", "--csv")),
        (("trials", "first", "99", "--csv"), 6, ("99",)),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    folder: Path, arguments: tuple[str, ...], code: int, facts: tuple[str, ...]
) -> None:
    done = hpo_here(*arguments, cwd=folder)
    assert unmentioned(done.stderr, *facts) == []
    assert (done.returncode, done.stdout) == (code, "")


def test_stored_text_is_one_cell_and_no_command_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv("-", [{"worker": 'a,"b"\x1b[2J', "auc": float("nan"), "reason": None}])
    assert capsys.readouterr().out == 'worker,auc,reason\n"a,""b""\\x1b[2J",,\n'


def test_a_table_without_rows_has_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv("-", [], LEADERBOARD_COLUMNS)
    assert capsys.readouterr().out == ",".join(LEADERBOARD_COLUMNS) + "\n"


def test_a_pipe_of_the_shell_gets_the_table() -> None:
    reading, writing = os.pipe()
    try:
        write_csv(f"/dev/fd/{writing}", [{"number": 1}])
        assert os.read(reading, 100) == b"number\n1\n"
    finally:
        os.close(reading)
        os.close(writing)
