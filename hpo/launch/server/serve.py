"""Serve a database until a stop is requested, as the only server of its folder on any host."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpo.errors import OutputError, StorageError
from hpo.host import python_module
from hpo.launch.server.cluster import LOCALE, Cluster, as_owner, last_lines, prepare
from hpo.launch.server.hold import SILENT_SECONDS, FolderLostError, Hold, read_server, runs, the_only_one, this_host
from hpo.launch.server.left_behind import end_left_behind
from hpo.search.database.address import write_address_file

_ENDS_WITH_PARENT = sys.platform == "linux"
"""Whether the kernel can end PostgreSQL when this process is killed."""

START_SECONDS = 300.0
"""Time limit of a start. After a crash PostgreSQL first repeats what its log holds, and would begin that anew."""

STOP_SECONDS = 60.0


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
    with the_only_one(folder, take_over=take_over) as hold, _signals(asked):
        if not _ENDS_WITH_PARENT:
            end_left_behind(folder / "data", STOP_SECONDS)
        cluster = prepare(folder, listen=listen, port=port)
        process = _start(cluster)
        try:
            _wait_ready(cluster, process, asked, hold)
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
    command = [*python_module("hpo"), "db", "serve", str(folder)]
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
    if found is None or (found.host == this_host() and not runs(found)):
        return False
    if found.host != this_host():
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
    while runs(found):
        if time.monotonic() > end:
            raise StorageError(
                f"process {found.process}, the server of {folder}, has not ended in {STOP_SECONDS:.0f} s"
            )
        time.sleep(0.1)
    return True


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


def _wait_ready(cluster: Cluster, process: subprocess.Popen[bytes], asked: threading.Event, hold: Hold) -> None:
    end = time.monotonic() + START_SECONDS
    while not _says_ready(cluster, process.pid) and not asked.is_set():
        if process.poll() is not None:
            raise StorageError(f"the server in {cluster.folder} did not start; its log says:\n{last_lines(cluster)}")
        if time.monotonic() > end:
            raise StorageError(f"the server in {cluster.folder} is not ready after {START_SECONDS:.0f} s")
        hold.check()
        time.sleep(0.05)


def _says_ready(cluster: Cluster, process: int) -> bool:
    # The last line of this file is the state, the first one the process; pg_ctl reads it the same way. A server that
    # was killed leaves its own, which says "ready" until the new one replaces it.
    try:
        lines = (cluster.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(process) and lines[7].strip() == "ready"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()
