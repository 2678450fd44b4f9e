"""Serve a database until a stop is requested, as the only server of its folder on any host."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpo.errors import OutputError, StorageError
from hpo.files import atomic_write
from hpo.launch.server.cluster import LOCALE, Cluster, as_owner, last_lines, prepare
from hpo.launch.server.left_behind import end_left_behind
from hpo.search.database.address import write_address_file
from hpo.search.queue.process_identity import start_time

_log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""Seconds between a server's heartbeats, for other hosts that share its folder."""

LOST_SECONDS = 60.0
"""Seconds without a successful heartbeat after which a server ends, long before another host may take its folder."""

SILENT_SECONDS = 150.0
"""Seconds without a heartbeat after which another host may take a folder over, if its user asks for that.

An NFS client may answer from its cache for up to 60 s for a folder and 60 s for a file (acdirmax, acregmax, nfs(5)).
"""

_ENDS_WITH_PARENT = sys.platform == "linux"
"""Whether the kernel can end PostgreSQL when this process is killed."""

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """The process that serves a folder, as written in it. beat: heartbeat counter; started: see `start_time`."""

    host: str
    process: int
    beat: int
    started: str = ""
    """Empty if it is unknown, as in files of earlier versions."""


def serve(
    folder: Path,
    *,
    listen: str | None = None,
    port: int | None = None,
    take_over: bool = False,
    on_ready: Callable[[Cluster], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the database in a folder, created if needed, until `stop` is set or on SIGINT or SIGTERM.

    A stop is PostgreSQL's fast shutdown: open transactions are rolled back, nothing committed is lost.

    Args:
        take_over: whether to serve a folder whose server on another host has not ended in order. Only a person can know
            that it has: silence may also mean that the other host, or the file system between, is stuck.

    Raises:
        StorageError: if the folder is served already, or the server does not start, ends, or loses the folder.
        StorageError, OutputError, UsageError: see `prepare`.
    """
    folder = folder.absolute()
    asked = stop or threading.Event()
    with _the_only_one(folder, take_over=take_over) as hold, _signals(asked):
        if not _ENDS_WITH_PARENT:
            end_left_behind(folder / "data", STOP_SECONDS)
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
                hold.check()
        except FolderLostError:
            # At once, as a crash would: the other server may write already.
            process.send_signal(signal.SIGQUIT)
            raise
        finally:
            _stop(process)


READY = "--storage @"
"""What the output of `hpo db serve` holds once the server answers: the option that workers are given."""


def serve_in_background(folder: Path, *, listen: str | None, port: int | None, take_over: bool = False) -> int:
    """Start `hpo db serve` for the folder as a process that outlives this one, and return its PID once it serves.

    Raises:
        StorageError: with its output, if it does not start.
    """
    folder = folder.absolute()
    command = [sys.executable, "-m", "hpo", "db", "serve", str(folder)]
    command += ["--listen", listen] if listen else []
    command += ["--port", str(port)] if port else []
    command += ["--take-over"] if take_over else []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not serve.log yet: that may be the log of a server that runs, whose READY is not this one's.
        number, name = tempfile.mkstemp(prefix="serve.", suffix=".log", dir=folder)
    except OSError as error:
        raise OutputError(f"{folder} is not writable: {error.strerror}") from None
    path = Path(name)
    with os.fdopen(number, "w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder.parent
        )
        end = time.monotonic() + START_SECONDS + SILENT_SECONDS + 10
        while process.poll() is None and time.monotonic() < end:
            if READY in path.read_text(errors="replace"):
                path.replace(folder / "serve.log")
                return process.pid
            time.sleep(0.1)
        if process.poll() is None:
            process.terminate()
        text = path.read_text(errors="replace").strip().removeprefix("hpo: ")
        path.unlink()
    raise StorageError(f"the server in {folder} did not start: {text or 'no output'}")


def stop_server(folder: Path) -> bool:
    """Stop the server of a folder and wait for its end; return False if there is none.

    Raises:
        StorageError: if it runs on another host or as another user, or does not end.
    """
    folder = folder.absolute()
    found = read_server(folder)
    if found is None or (found.host == _here() and not _runs(found)):
        return False
    if found.host != _here():
        raise StorageError(f"the database in {folder} is served by host {found.host}; stop it there")
    try:
        # It may have ended since.
        with suppress(ProcessLookupError):
            os.kill(found.process, signal.SIGTERM)
    except PermissionError:
        raise StorageError(
            f"process {found.process}, the server of {folder}, belongs to another user; stop it as that user. If it "
            f"is not hpo, the server has ended: remove {folder / 'server.json'}"
        ) from None
    end = time.monotonic() + STOP_SECONDS
    while _runs(found):
        if time.monotonic() > end:
            raise StorageError(
                f"process {found.process}, the server of {folder}, has not ended in {STOP_SECONDS:.0f} s"
            )
        time.sleep(0.1)
    return True


def read_server(folder: Path) -> Server | None:
    """Return the server of a folder, as written in it; None if there is none.

    Raises:
        StorageError: if the file cannot be read at the moment.
    """
    path = folder / "server.json"
    try:
        return Server(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    except OSError as error:
        # This does not mean that the server ended: on NFS, ESTALE means that it just replaced the file.
        raise StorageError(
            f"{path} cannot be read: {error.strerror}; whether a server runs in {folder} is unknown, try again"
        ) from None


class FolderLostError(StorageError):
    """Another server has taken the folder, or may take it, since heartbeats no longer reach it."""


class Hold:
    """The claim of this process on a folder, renewed by a heartbeat: PostgreSQL's own lock works on one host only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = _this_process()
        self._renewed = time.monotonic()
        self._taker: Server | None = None

    def claim(self, found: Server | None) -> None:
        """Write this process into the folder in place of `found`, a server that has ended, or of none.

        Raises:
            StorageError: if another process does that now or has done it since `found` was read.
            OutputError: if the folder is not writable.
        """
        lock = self._folder / "server.claim"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(lock)
            try:
                # An NFS client that has just changed a folder no longer answers from its cache of it.
                now = read_server(self._folder)
                if now is None:
                    _create(self._folder / "server.json")
                elif now != found:
                    raise StorageError(
                        f"process {now.process} of host {now.host} has just begun to serve {self._folder}; use its "
                        f"address in {self._folder / 'address'}, or stop it there first"
                    )
                elif now.host != _here():
                    # The other host can no longer remove it, and its PID may be in use on this host.
                    (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)
                _write_server(self._folder, self._mine)
            finally:
                lock.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self._folder} is not writable: {error.strerror}") from None

    def renew(self) -> None:
        """Write a heartbeat, unless another server has taken the folder; a failure is no error yet."""
        # A full disk or a temporary file-system outage must not end the heartbeats for good.
        with suppress(OSError, StorageError):
            found = read_server(self._folder)
            if found is not None and found != self._mine:
                self._taker = found
                return
            ours = replace(self._mine, beat=self._mine.beat + 1)
            _write_server(self._folder, ours)
            self._mine, self._renewed = ours, time.monotonic()

    def check(self) -> None:
        """Raise FolderLostError if the folder is another server's, or may become so."""
        if self._taker is not None:
            raise FolderLostError(f"host {self._taker.host} has taken {self._folder} over; this server ends")
        if time.monotonic() - self._renewed > LOST_SECONDS:
            raise FolderLostError(
                f"{self._folder} could not be written for {LOST_SECONDS:.0f} s, so that other hosts may take this "
                "server for dead; it ends. Is the disk full, or the file system away?"
            )

    def give_up(self) -> None:
        """Remove this process from the folder, if it is the one written there."""
        # If that fails, the folder is left as after a crash.
        with suppress(OSError, StorageError):
            if read_server(self._folder) == self._mine:
                (self._folder / "server.json").unlink()


@contextmanager
def _the_only_one(folder: Path, *, take_over: bool) -> Iterator[Hold]:
    """Hold the folder against other servers."""
    found = read_server(folder)
    if found is not None:
        check_left(folder, found, take_over=take_over)
    over = threading.Event()
    hold = Hold(folder)
    hold.claim(found)

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            hold.renew()

    thread = threading.Thread(target=beat, name="hpo-server-beat", daemon=True)
    thread.start()
    try:
        yield hold
    finally:
        over.set()
        thread.join()
        hold.give_up()


def check_left(folder: Path, found: Server, *, take_over: bool = False) -> None:
    """Return once the server `found` in a folder has ended; one on another host is watched for SILENT_SECONDS.

    Args:
        take_over: whether a server on another host that is silent may be taken for ended.

    Raises:
        StorageError: if it still serves, or its state cannot be determined.
    """
    if found.host == _here():
        if found.process != os.getpid() and _runs(found):
            raise StorageError(
                f"the database in {folder} is being served by process {found.process}; its address is in "
                f"{folder / 'address'}, and `hpo db serve --stop {shlex.quote(str(folder))}` ends it"
            )
        return
    if not take_over:
        raise StorageError(
            f"host {found.host} served {folder} last, and its server has not ended in order. If that host or its job "
            "is surely gone, start with --take-over: two servers on one folder would destroy the data"
        )
    _log.info(f"host {found.host} served {folder} last; checking its heartbeats for {SILENT_SECONDS:.0f} s")
    end = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < end:
        time.sleep(0.5)
        now = read_server(folder)
        if now is None:
            return
        if now != found:
            raise StorageError(f"the database in {folder} is being served by host {found.host}; stop it there first")


def _create(path: Path) -> None:
    """Create a file that only one of all processes can create, on NFS too."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        raise StorageError(
            f"another server of {path.parent} is starting; if none is, on any host, remove {path}"
        ) from None


def _write_server(folder: Path, server: Server) -> None:
    with atomic_write(folder / "server.json") as part:
        part.write_text(json.dumps(asdict(server)))


def _here() -> str:
    return socket.gethostname()


def _this_process() -> Server:
    return Server(_here(), os.getpid(), 0, start_time(os.getpid()) or "")


def _runs(server: Server) -> bool:
    """Return whether a server of this host runs: once it has ended, its PID may be another process's."""
    started = start_time(server.process)
    if started is None:
        return False
    # Two processes are told apart only where both start times are known.
    return started == server.started or not (started and server.started)


@contextmanager
def _signals(asked: threading.Event) -> Iterator[None]:
    """Set the event on SIGINT and SIGTERM; only the main thread can, so elsewhere this does nothing."""
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
        # In its own session, so that Ctrl-C does not reach it before the orderly stop; if this process is killed, Linux
        # signals it. Elsewhere it runs on, until the next server of the folder ends it, see `end_left_behind`.
        return subprocess.Popen(
            cluster.command(),
            cwd=cluster.folder,
            env={**os.environ, "LC_ALL": LOCALE},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent if _ENDS_WITH_PARENT else None,
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
    # The last line of this file is the state; pg_ctl reads it the same way.
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
