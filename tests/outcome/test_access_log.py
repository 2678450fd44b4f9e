"""What was opened through one database is known in another."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hpo.errors import UsageError
from hpo.outcome import opening
from hpo.outcome.access_log import NAME, access_key, accesses_elsewhere, note_access
from hpo.outcome.final import results_folder, results_root, store
from hpo.outcome.judgement import judge_final
from hpo.outcome.opening import earlier_access
from hpo.outcome.report.document import Notice, Table
from hpo.outcome.report.result.sections import ledger, result
from hpo.search.admin.copy import copy_study
from hpo.search.admin.studies import rename_study
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.ledger import StudyLedger, read_openings
from hpo.search.study import Study, open_study
from hpo.study.catalogue import find_dataset
from hpo.testing.trainer import make_spec
from tests.mention import unmentioned
from tests.outcome import simulated
from tests.outcome.finalizing import finalizing, searched
from tests.outcome.pages import blocks
from tests.outcome.test_final import opened, thin
from tests.search.conftest import any_database, any_url, mysql, name, postgresql

__all__ = ["any_database", "any_url", "mysql", "name", "postgresql", "thin"]

CONFIGURATION = {"dataset": "breast", "networks": {"trial 3 0": "abc"}, "entries": {"trial 3": "by hand"}}


def _database(folder: Path, name: str) -> Database:
    return open_database(resolve_address(f"sqlite:///{folder}/{name}.db"), create=True)


def _study(folder: Path, name: str) -> Study:
    spec = make_spec(4, references=True).model_copy(update={"dataset": "digits"})
    return create_or_open(_database(folder, name), "digits", spec)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_a_test_set_that_was_opened_through_another_database_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    opened(_study(tmp_path, "one"), data)
    other = _study(tmp_path, "two")
    (data / "final.json").unlink()
    # Known before networks are trained for it.
    assert other.database.address.replace("two", "one") in earlier_access(other, data, data)
    assert earlier_access(other, tmp_path / "no data", tmp_path / "none" / "digits") == ""
    with pytest.raises(UsageError) as refused:
        opened(other, data, seed=50)
    assert unmentioned(refused.value, "digits", "--reopen", other.database.address.replace("two", "one")) == []
    assert read_openings(other.database, "digits") == []
    opened(other, data, seed=50, reopen="another question")
    assert len((data / NAME).read_text().splitlines()) == 2
    # The same networks are the same access, through whatever database.
    assert accesses_elsewhere(other.database, "digits", data, tmp_path / "none")[0].study == "digits"


@pytest.mark.usefixtures("thin")
def test_a_final_result_tells_of_an_access_where_the_data_folder_does_not(tmp_path: Path) -> None:
    results = tmp_path / "results"
    store(simulated.changed(simulated.final(), dataset="digits", study="elsewhere"), results / "elsewhere")
    study = _study(tmp_path, "one")
    with pytest.raises(UsageError) as refused:
        opened(study, results / "digits")
    assert unmentioned(refused.value, "elsewhere") == []


@pytest.mark.parametrize(("first", "second"), [("lab/one", "two"), ("one", "lab/two")])
def test_studies_with_a_slash_in_their_names_tell_and_are_told_of_accesses(
    first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = simulated.changed(simulated.final(), dataset="digits", study=first)
    store(there, results_folder(first))
    # An earlier result that was kept within it.
    store(there, results_folder(first) / "before")
    study = _study(tmp_path, "one")
    rename_study(study.database, study.name, second)
    found = earlier_access(open_study(study.database, second), tmp_path, results_folder(second))
    assert unmentioned(found, first) == []
    root = results_root(results_folder(second), (second,))
    assert len(accesses_elsewhere(study.database, "digits", tmp_path, root)) == 1


def test_the_access_of_a_result_is_told_by_its_networks_also_after_its_study_was_copied(tmp_path: Path) -> None:
    first, second = _study(tmp_path, "one"), _study(tmp_path, "two")
    for study, reason in ((second, ""), (second, "of another"), (first, "ours"), (first, "a later one")):
        StudyLedger(study.database).write(study.name, {"dataset": "digits", "networks": reason}, "abc", reason)
    rename_study(second.database, second.name, "another")
    ours = read_openings(first.database, "digits")[0]
    assert ours.reason == "ours"
    copy_study(first, second.database, first.name)
    openings = read_openings(second.database, "digits")
    assert [opening.reason for opening in openings] == ["", "of another", "ours", "a later one"]
    made = simulated.changed(
        simulated.final(), study="digits", ledger_row=ours.row, access=access_key(ours.configuration)
    )
    section = result(find_dataset("digits"), judge_final(made, draws=100), made, openings)
    (notice,) = [block.text for block in section.blocks if isinstance(block, Notice) and "4 times" in block.text]
    assert unmentioned(notice, "ours") == []


def test_ones_own_accesses_are_none_of_another_database(tmp_path: Path) -> None:
    database = _database(tmp_path, "one")
    StudyLedger(database).write("breast", CONFIGURATION, "abc", "")
    renamed = CONFIGURATION | {"entries": {"trial 3": "by hand, from another name"}}
    note_access(tmp_path, renamed, "", "breast", database.address, "abc", "")
    store(simulated.final(), tmp_path / "results" / "breast")
    assert accesses_elsewhere(database, "breast", tmp_path, tmp_path / "results") == []
    assert len(accesses_elsewhere(_database(tmp_path, "two"), "breast", tmp_path, tmp_path / "results")) == 2


def test_the_same_data_under_another_name_is_the_same_test_set(tmp_path: Path) -> None:
    note_access(tmp_path, CONFIGURATION, "d41d8", "breast", "sqlite:///other.db", "abc", "")
    database = _database(tmp_path, "one")
    assert accesses_elsewhere(database, "mine", tmp_path, None) == []
    (found,) = accesses_elsewhere(database, "mine", tmp_path, None, data_md5="d41d8")
    assert (found.key, found.dataset) == (access_key(CONFIGURATION), "breast")


def test_lines_of_many_writers_stay_whole_and_a_broken_one_is_passed_over(tmp_path: Path, log: list[str]) -> None:
    def note(number: int) -> None:
        note_access(
            tmp_path, CONFIGURATION | {"protocol": number}, "", f"study {number}", "sqlite://", "abc", "x" * 300
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(40)))
    lines = (tmp_path / NAME).read_text().splitlines()
    assert {json.loads(line)["study"] for line in lines} == {f"study {number}" for number in range(40)}
    with (tmp_path / NAME).open("a") as file:
        file.write('{"key": "torn\n')
    assert len(accesses_elsewhere(_database(tmp_path, "one"), "breast", tmp_path, None)) == 40
    assert any(NAME in message for message in log)


def test_a_folder_that_cannot_be_written_is_said_and_does_not_hinder(tmp_path: Path, log: list[str]) -> None:
    (tmp_path / "file").write_text("")
    note_access(tmp_path / "file", CONFIGURATION, "", "breast", "sqlite://", "abc", "")
    assert unmentioned(log[-1], NAME, "database") == []
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        note_access(closed, CONFIGURATION, "", "breast", "sqlite://", "abc", "")
        assert len(log) == 2


def test_the_report_shows_accesses_through_other_databases_and_the_limit_of_what_is_known(tmp_path: Path) -> None:
    note_access(tmp_path, CONFIGURATION, "", "breast", "sqlite:///other.db", "abc", "why not")
    elsewhere = accesses_elsewhere(_database(tmp_path, "one"), "breast", tmp_path, None)
    section = ledger(find_dataset("breast"), (), elsewhere)
    (notice,) = blocks(section, Notice)
    assert unmentioned(notice.text, "once", "breast") == []
    (table,) = blocks(section, Table)
    assert table.rows[0][2:] == ("sqlite:///other.db", "why not")


def test_the_test_set_of_larger_images_is_that_of_the_small_ones(tmp_path: Path) -> None:
    database = _database(tmp_path, "one")
    StudyLedger(database).write("small", CONFIGURATION, "abc", "")
    StudyLedger(database).write("own", CONFIGURATION | {"dataset": "mine:4f3a9c21"}, "abc", "")
    assert [one.study for one in read_openings(database, "breast@64")] == ["small"]
    assert [one.study for one in read_openings(database, "renamed:4f3a9c21")] == ["own"]
    assert read_openings(database, "mine:00000000") == []
    note_access(tmp_path, CONFIGURATION, "", "elsewhere", "sqlite:///other.db", "abc", "")
    other = _database(tmp_path, "two")
    assert [one.study for one in accesses_elsewhere(other, "breast@224", tmp_path, None)] == ["elsewhere"]


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_of_two_searches_that_are_finalized_at_once_one_opens_the_test_set(
    any_database: Database, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with any_database.engine.begin() as connection:
        connection.execute(sa.delete(schema.ledger))
    names = [f"{name}-{number}" for number in (1, 2)]
    for epochs, one in enumerate(names, start=1):
        finalizing(searched(any_database, one), tmp_path / one, data_dir=tmp_path)(baseline_epochs=epochs)
    meet, look = threading.Barrier(2), opening.earlier_access

    def look_at_once(*arguments: Any) -> str:
        found = look(*arguments)
        with contextlib.suppress(threading.BrokenBarrierError):
            meet.wait(1)
        return found

    monkeypatch.setattr(opening, "earlier_access", look_at_once)

    def finalized(one: str) -> bool:
        study = open_study(open_database(any_database.url, create=False), one)
        try:
            again = finalizing(study, tmp_path / one, data_dir=tmp_path)
            return again(train_only=False, baseline_epochs=1 + names.index(one)).final is not None
        except UsageError:
            return False
        finally:
            study.database.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(finalized, names)) == [False, True]
    assert len([one for one in read_openings(any_database, "digits") if one.study in names]) == 1
