"""`hpo finalize` as a user runs it: killed on the way, run again, and helped by a worker."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.ledger import read_openings
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.study import open_study
from tests.cli.run import hpo_forked, hpo_here, start_hpo
from tests.mention import unmentioned
from tests.outcome.finalizing import searched
from tests.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linear_network")]

FINALIZE = ("finalize", "digits", "--trial", "3", "--networks", "2", "--baseline-epochs", "4", "--device", "cpu")


def test_killed_finalize_goes_on_and_opens_the_test_set_once(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    searched(database)
    data = {"HPO_DATA_DIR": str(tmp_path / "data")}
    waiting = hpo_forked(*FINALIZE, "--on", "none", cwd=tmp_path, **data)
    assert waiting.returncode == 0, waiting.stderr
    assert unmentioned(waiting.stderr, "`hpo worker digits-final`", "6 of 6 networks", "sealed") == []

    def status() -> StudyStatus:
        return read_status(open_study(database, "digits-final"))

    hold = {"HOLD_FOLDER": str(tmp_path), "HOLD_NETWORK": "1"}
    first = start_hpo(*FINALIZE, "--workers", "2", cwd=tmp_path, **data, **hold)
    try:
        until(lambda: len(list(tmp_path.glob("held-*"))) == 2, 300)
    finally:
        first.send_signal(signal.SIGKILL)
        (tmp_path / "go-on").touch()
    assert first.result().returncode == -signal.SIGKILL
    # Its workers end with it, and release what they train.
    until(lambda: not status().running, 300)
    assert 1 <= status().finished < 6
    assert read_openings(database, "digits") == []

    second = hpo_forked(*FINALIZE, "--workers", "1", "--json", cwd=tmp_path, **data)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["entries"][0]["name"] == "trial 3"
    assert len(read_openings(database, "digits")) == 1
    assert (status().complete, status().budget) == (6, 6)
    results = tmp_path / "hpo-results" / "digits"
    assert len(list((results / "models").iterdir())) == 6
    assert {path.name for path in results.iterdir()} == {"final.json", "scores.npz", "models"}

    third = hpo_here(*FINALIZE, cwd=tmp_path, **data).stderr
    assert unmentioned(third, "no new entry in its log", "next: hpo report digits, hpo export digits") == []
    for arguments in (("status", "digits-final"), ("trials", "digits-final"), ("best", "digits-final")):
        assert hpo_here(*arguments, cwd=tmp_path, **data).returncode == 0
    exported = hpo_here("export", "digits", cwd=tmp_path, **data)
    assert exported.returncode == 0
    assert unmentioned(exported.stderr, "hpo-results/digits/export", "README.md", "next: hpo predict") == []
    assert unmentioned(hpo_here("report", "digits", cwd=tmp_path, **data).stderr, "next: hpo predict") == []
    for command_on_it in ("confirm", "finalize", "report"):
        refused = hpo_here(command_on_it, "digits-final", cwd=tmp_path, **data)
        assert (refused.returncode, unmentioned(refused.stderr, "final training", "digits")) == (2, [])
    launched = hpo_here("launch", "--dataset", "digits", "--name", "digits-final", cwd=tmp_path, **data)
    assert (launched.returncode, unmentioned(launched.stderr, "`hpo finalize digits`")) == (7, [])
    database.close()
