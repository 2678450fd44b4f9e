"""Hold a folder against all other servers, on any host: a file in it says who serves it, renewed by a heartbeat."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpo.errors import OutputError, StorageError
from hpo.files import atomic_write
from hpo.search.queue.process_identity import own_host, start_time

_log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""Seconds between a server's heartbeats, for other hosts that share its folder."""

LOST_SECONDS = 60.0
"""Seconds without a successful heartbeat after which a server ends, long before another host may take its folder."""

SILENT_SECONDS = 150.0
"""Seconds without a heartbeat after which another host may take a folder over, if its user asks for that.

An NFS client may answer from its cache for up to 60 s for a folder and 60 s for a file (acdirmax, acregmax, nfs(5)).
"""


_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has no hard links, or no symbolic ones."""


@dataclass(frozen=True)
class Server:
    """The process that serves a folder, as written in it. beat: heartbeat counter; started: see `start_time`."""

    host: str
    process: int
    beat: int
    started: str = ""
    """Empty if it is unknown, as in files of earlier versions."""


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
        self._mine = this_server()
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
            _drop_left(lock)
            _create_claim(lock)
            try:
                # An NFS client that has just changed a folder no longer answers from its cache of it.
                now = read_server(self._folder)
                if now is None:
                    _create_server(self._folder, self._mine)
                elif now != found:
                    raise StorageError(
                        f"process {now.process} of host {now.host} has just begun to serve {self._folder}; use its "
                        f"address in {self._folder / 'address'}, or stop it there first"
                    )
                elif now.host != this_host():
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
            if found is not None and not self._is_mine(found):
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
            found = read_server(self._folder)
            if found is not None and self._is_mine(found):
                (self._folder / "server.json").unlink()

    def _is_mine(self, found: Server) -> bool:
        """Return whether a file is of this process; NFS may report an error of a heartbeat that it has written."""
        return replace(found, beat=self._mine.beat) == self._mine


@contextmanager
def the_only_one(folder: Path, *, take_over: bool) -> Iterator[Hold]:
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
    if found.host == this_host():
        if found.process != os.getpid() and runs(found):
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
        raise _is_starting(path) from None


def _create_server(folder: Path, server: Server) -> None:
    """Create the file of a server, whole, where there is none; a kill must not leave an empty one."""
    path, part = folder / "server.json", folder / f"server.json.{os.getpid()}.part"
    part.write_text(json.dumps(asdict(server)))
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise _is_starting(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _create(path)
    finally:
        part.unlink()


def _create_claim(lock: Path) -> None:
    """Create a link that only one of all processes can create, on NFS too, and that names this process at once."""
    mine = this_server()
    try:
        lock.symlink_to(json.dumps([mine.host, mine.process, mine.started]))
    except FileExistsError:
        raise _is_starting(lock) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _create(lock)


def _drop_left(lock: Path) -> None:
    """Remove a claim that a killed process of this host has left; one of another host stays, since none can tell."""
    if not _is_left(lock):
        return
    # Only processes of this host remove it, so a lock on its own disk is enough, which every file system of a host has.
    digest = hashlib.sha256(str(lock.resolve().parent).encode()).hexdigest()[:16]
    guard = Path(tempfile.gettempdir()) / f"hpo-{os.getuid()}-{digest}.lock"
    number = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        # Another process may have removed it meanwhile, and be at it itself.
        if _is_left(lock):
            lock.unlink()
    finally:
        os.close(number)


def _is_left(lock: Path) -> bool:
    try:
        host, process, started = json.loads(str(lock.readlink()))
        return host == this_host() and not runs(Server(host, process, 0, started))
    except (OSError, ValueError, TypeError):
        # There is none, or a file of an earlier version, which does not say whose it is.
        return False


def _is_starting(path: Path) -> StorageError:
    return StorageError(f"another server of {path.parent} is starting; if none is, on any host, remove {path}")


def _write_server(folder: Path, server: Server) -> None:
    with atomic_write(folder / "server.json") as part:
        part.write_text(json.dumps(asdict(server)))


def this_host() -> str:
    """Return the name of this host, or of this container on it, as in the file of a folder.

    A server in another container is that of another host: whether its process runs cannot be seen from here.
    """
    return own_host()


def this_server() -> Server:
    """Return this process, before its first heartbeat."""
    return Server(this_host(), os.getpid(), 0, start_time(os.getpid()) or "")


def runs(server: Server) -> bool:
    """Return whether a server of this host runs: once it has ended, its PID may be another process's."""
    started = start_time(server.process)
    if started is None:
        return False
    # Two processes are told apart only where both start times are known.
    return started == server.started or not (started and server.started)
