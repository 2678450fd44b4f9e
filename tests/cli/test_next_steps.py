"""What a command says comes next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.cli.finalize import repeated
from hpo.errors import DataError
from hpo.outcome.export import export
from hpo.outcome.final import store
from hpo.outcome.preparation import Wishes, prepare_confirmation
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed, ended, expire, trained
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.outcome import simulated


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    yield made
    made.close()


def test_a_study_that_was_left_says_what_waits_and_how_it_goes_on(database: Database, tmp_path: Path) -> None:
    study = create_or_open(database, "two words", make_spec(3))
    claimed(study)
    assert "next:" not in hpo_here("status", study.name, cwd=tmp_path).stderr
    expire(study)
    said = hpo_here("status", study.name, cwd=tmp_path).stderr
    assert unmentioned(said, "1 trial", "checkpoint", "next:", "hpo worker 'two words'") == []


def test_a_finished_study_has_nothing_to_go_on_with(database: Database, tmp_path: Path) -> None:
    trained(create_or_open(database, "s", make_spec(3)))
    assert hpo_here("status", "s", cwd=tmp_path).stderr == ""


def test_without_a_complete_trial_the_best_is_a_sentence_and_the_next_command(
    database: Database, tmp_path: Path
) -> None:
    study = create_or_open(database, "s", make_spec(3))
    before = hpo_here("best", "s", cwd=tmp_path)
    assert unmentioned(before.stdout, "no complete trial", "rank") == ["rank"]
    assert unmentioned(before.stderr, "next:", "hpo worker s") == []
    claimed(study)
    assert unmentioned(hpo_here("best", "s", cwd=tmp_path).stderr, "next:", "hpo status s") == []


def test_a_stop_without_workers_says_so(database: Database, tmp_path: Path) -> None:
    create_or_open(database, "s", make_spec(3))
    said = hpo_here("stop", "s", cwd=tmp_path).stdout
    assert unmentioned(said, "no worker is running", "0 workers") == ["0 workers"]


def test_a_confirmation_without_a_winner_is_not_followed_by_a_test_of_it(database: Database, tmp_path: Path) -> None:
    search = create_or_open(database, "s", make_spec(3))
    trained(search)
    spec = prepare_confirmation(search, "s-confirm", Wishes(top=1, seeds=2, per_family=0, racing=False)).spec
    study = create_or_open(database, "s-confirm", spec)
    assert ended(claimed(study), "failed")
    trained(study, (0.8,))
    said = hpo_here("confirm", "s", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert unmentioned(said.stderr, "next:", "hpo trials s-confirm", "hpo finalize") == ["hpo finalize"]


def test_a_result_of_the_same_access_is_not_told_as_another_one() -> None:
    final = simulated.final()
    again = simulated.changed(final, time=final.result.time + 100)
    assert unmentioned(repeated(final, again), "log") == []
    for other in (None, simulated.changed(final, ledger_row=final.result.ledger_row + 1)):
        assert repeated(final, other) == repeated(other, final) == ""


def test_a_result_that_has_a_former_name_of_the_study_is_exported_from_its_folder(
    database: Database, tmp_path: Path
) -> None:
    create_or_open(database, "old", make_spec(2))
    store(simulated.final(), tmp_path / "hpo-results" / "old")
    assert hpo_here("rename", "old", "new", cwd=tmp_path).returncode == 0
    said = hpo_here("report", "new", cwd=tmp_path).stderr
    assert unmentioned(said, "next: hpo export new --results hpo-results/old") == []


def test_networks_that_were_deleted_are_trained_again_by_finalize(tmp_path: Path) -> None:
    store(simulated.final(), tmp_path / "result")
    with pytest.raises(DataError) as refused:
        export(tmp_path / "result", tmp_path / "out")
    assert unmentioned(refused.value, "`hpo finalize", "hpo export") == ["hpo export"]
    assert not (tmp_path / "out").exists()
