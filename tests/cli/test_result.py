"""The commands that end in a result, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.outcome.final import store
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.outcome import simulated


@pytest.mark.parametrize(
    ("arguments", "code", "facts"),
    [
        (("report",), 5, ("hpo.sqlite3",)),
        (("report", "x", "--all"), 2, ("STUDY", "--all")),
        (("report", "--all"), 4, ("hpo-results", "`hpo finalize STUDY`", "--results")),
        (("export", "x"), 4, ("hpo-results/x", "`hpo finalize`")),
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


def test_a_page_over_all_datasets_is_written_beside_the_results(tmp_path: Path) -> None:
    store(simulated.final(), tmp_path / "hpo-results" / "breast")
    done = hpo_here("report", "--all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["hpo-results/report.html", "hpo-results/report.md"]
    assert "breastmnist" in (tmp_path / "hpo-results" / "report.md").read_text()
