"""The commands that end in a result, as a user types them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from hpo.outcome.final import store
from hpo.search.admin.studies import rename_study
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.testing.trainer import make_spec
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.outcome import simulated


@pytest.mark.parametrize(
    ("arguments", "code", "facts"),
    [
        (("report",), 5, ("hpo.sqlite3",)),
        (("report", "x", "--all"), 2, ("STUDY", "--all")),
        (("report", "--all"), 4, ("hpo-results", "`hpo finalize STUDY`", "--results")),
        (("export", "x"), 4, ("hpo-results/x", "`hpo finalize`", "--storage", "--results")),
        (("export", "x", "--storage", "sqlite:///none.db"), 5, ("none.db",)),
        (("predict", "m.safetensors", "none.npz", "--out", "s.csv"), 4, ("none.npz",)),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, facts: tuple[str, ...]
) -> None:
    done = hpo_here(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert unmentioned(done.stderr, *facts) == []
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_result_of_a_renamed_study_is_found_through_its_database(tmp_path: Path) -> None:
    with closing(open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)) as database:
        create_or_open(database, "before", make_spec())
        rename_study(database, "before", "after")
    store(simulated.final(), tmp_path / "hpo-results" / "before")
    done = hpo_here("export", "after", cwd=tmp_path)
    # It has no networks.
    assert done.returncode == 4
    assert unmentioned(done.stderr, "hpo-results/before/models/x") == []
    assert hpo_here("export", "other", cwd=tmp_path).returncode == 6


def test_a_page_over_all_datasets_is_written_beside_the_results(tmp_path: Path) -> None:
    store(simulated.final(), tmp_path / "hpo-results" / "breast")
    done = hpo_here("report", "--all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["hpo-results/report.html", "hpo-results/report.md"]
    assert "breastmnist" in (tmp_path / "hpo-results" / "report.md").read_text()
