"""Serving a database until asked to stop, as the one server of its folder on any host."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hpo.errors import OutputError, StorageError
from hpo.files import atomic_write
from hpo.launch.server.cluster import Cluster, as_owner, last_lines, prepare
from hpo.search.database.address import write_address_file
from hpo.search.queue.process_identity import start_time

_log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""How often a server writes that it lives, for other hosts that see its folder."""

SILENT_SECONDS = 150.0
"""How long another host watches for such a sign before it takes a folder over.

An NFS client may answer from its cache for up to 60 s for a folder and 60 s for a file (acdirmax, acregmax, nfs(5)).
"""

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """The process that serves a folder, as written in it. beat: grows as it lives."""

    host: str
    process: int
    beat: int


def serve(
    folder: Path,
    *,
    listen: str | None = None,
    port: int | None = None,
    on_ready: Callable[[Cluster], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> None:
    """Serves the database in a folder until `stop` is set or the process gets SIGINT or SIGTERM; makes it if needed.

    A stop is PostgreSQL's fast shutdown: open transactions are rolled back, nothing committed is lost.
    Raises what `prepare` does; StorageError if the folder is served already, or the server does not start or ends.
    """
    folder = folder.absolute()
    asked = stop or threading.Event()
    with _the_only_one(folder), _signals(asked):
        cluster = prepare(folder, listen=listen, port=port)
        process = _start(cluster)
        try:
            _wait_ready(cluster, process, asked)
            if not asked.is_set():
                write_address_file(cluster.address_file, cluster.address)
                on_ready(cluster)
            while not asked.wait(0.1):
                if process.poll() is not None:
                    raise StorageError(f"the server in {folder} has ended; its log says:\n{last_lines(cluster)}")
        finally:
            _stop(process)


def serve_in_background(folder: Path, *, listen: str | None, port: int | None) -> int:
    """Starts `hpo db serve` for the folder as a process that outlives this one; its process number, once it serves.

    Raises StorageError with what it said if it does not come up.
    """
    folder = folder.absolute()
    command = [sys.executable, "-m", "hpo", "db", "serve", str(folder)]
    command += ["--listen", listen] if listen else []
    command += ["--port", str(port)] if port else []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        said = (folder / "serve.log").open("w+")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}") from None
    with said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd=folder.parent
        )
        end = time.monotonic() + START_SECONDS + SILENT_SECONDS + 10
        while process.poll() is None and time.monotonic() < end:
            if "address file" in Path(said.name).read_text(errors="replace"):
                return process.pid
            time.sleep(0.1)
        if process.poll() is None:
            process.terminate()
        text = Path(said.name).read_text(errors="replace").strip().removeprefix("hpo: ")
    raise StorageError(f"no server came up in {folder}: {text or 'it said nothing'}")


def stop_server(folder: Path) -> bool:
    """Ends the server of a folder and waits for its end; False if there is none.

    Raises StorageError if it runs on another host, or does not end.
    """
    folder = folder.absolute()
    found = read_server(folder)
    if found is None or (found.host == _here() and start_time(found.process) is None):
        return False
    if found.host != _here():
        raise StorageError(f"the database in {folder} is served by host {found.host}; stop it there")
    os.kill(found.process, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while start_time(found.process) is not None:
        if time.monotonic() > end:
            raise StorageError(
                f"process {found.process}, the server of {folder}, has not ended in {STOP_SECONDS:.0f} s"
            )
        time.sleep(0.1)
    return True


def read_server(folder: Path) -> Server | None:
    """Return who serves a folder, as written in it; None if nobody does.

    Raises:
        StorageError: if that cannot be read at the moment.
    """
    path = folder / "server.json"
    try:
        return Server(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    except OSError as error:
        # No sign that the server has left: on NFS, ESTALE means that it has just replaced the file.
        raise StorageError(
            f"{path} cannot be read: {error.strerror}; whether a server runs in {folder} is unknown, try again"
        ) from None


@contextmanager
def _the_only_one(folder: Path) -> Iterator[None]:
    """Holds the folder against other servers: PostgreSQL's own lock means nothing to another host."""
    found = read_server(folder)
    if found is not None:
        check_left(folder, found)
    mine = Server(_here(), os.getpid(), 0)
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(BEAT_SECONDS):
            count += 1
            # A full disk or a file system that is away for a moment must not end the signs for good.
            with suppress(OSError):
                _write_server(folder, Server(mine.host, mine.process, count))

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_server(folder, mine)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}") from None
    thread = threading.Thread(target=beat, name="hpo-server-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        (folder / "server.json").unlink(missing_ok=True)


def check_left(folder: Path, found: Server) -> None:
    """Return once the server `found` in a folder has ended, watching that of another host for SILENT_SECONDS.

    Raises:
        StorageError: if it serves, or if that cannot be known.
    """
    if found.host == _here():
        if found.process != os.getpid() and start_time(found.process) is not None:
            raise StorageError(
                f"the database in {folder} is being served by process {found.process}; its address is in "
                f"{folder / 'address'}, and `hpo db serve --stop {folder}` ends it"
            )
        return
    _log.info(f"host {found.host} served {folder} last; watching for {SILENT_SECONDS:.0f} s whether it still does")
    end = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < end:
        time.sleep(0.5)
        now = read_server(folder)
        if now is None:
            return
        if now != found:
            raise StorageError(f"the database in {folder} is being served by host {found.host}; stop it there first")
    # The other host can remove it no more, and its process number may be one of this host's.
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)


def _write_server(folder: Path, server: Server) -> None:
    with atomic_write(folder / "server.json") as part:
        part.write_text(json.dumps(asdict(server)))


def _here() -> str:
    return socket.gethostname()


@contextmanager
def _signals(asked: threading.Event) -> Iterator[None]:
    """Makes SIGINT and SIGTERM set the event; only the main thread may, so elsewhere this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _start(cluster: Cluster) -> subprocess.Popen[bytes]:
    with cluster.log.open("ab") as log:
        # In a session of its own, so that Ctrl-C does not reach it before it is told; should this process be killed,
        # the kernel tells it.
        return subprocess.Popen(
            cluster.command(),
            cwd=cluster.folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent,
            **as_owner(cluster.owner),
        )


def _end_with_parent() -> None:
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _wait_ready(cluster: Cluster, process: subprocess.Popen[bytes], asked: threading.Event) -> None:
    end = time.monotonic() + START_SECONDS
    while not _says_ready(cluster) and not asked.is_set():
        if process.poll() is not None:
            raise StorageError(f"the server in {cluster.folder} did not start; its log says:\n{last_lines(cluster)}")
        if time.monotonic() > end:
            raise StorageError(f"the server in {cluster.folder} is not ready after {START_SECONDS:.0f} s")
        time.sleep(0.05)


def _says_ready(cluster: Cluster) -> bool:
    # The last line of this file is the state, as pg_ctl reads it too.
    try:
        lines = (cluster.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()
