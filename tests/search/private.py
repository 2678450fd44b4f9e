"""A PostgreSQL of the tests' own, from the extra `server`, that may be stopped and started in the middle of one."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from hpo.launch.server import cluster as cluster_module
from hpo.launch.server.cluster import Cluster
from hpo.launch.server.serve import serve


class PrivateServer:
    """A server in a folder that an ordinary user can reach, also where the tests run as root.

    programs: of another PostgreSQL than that of the extra `server`; language: of its messages.
    """

    def __init__(self, programs: Path | None = None, language: str | None = None) -> None:
        self._programs, self._language = programs, language
        self.folder = Path(tempfile.mkdtemp(prefix="hpo-test-server-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.cluster: Cluster | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def address(self) -> str:
        """With its password."""
        assert self.cluster is not None
        return self.cluster.address

    def start(self) -> None:
        """Returns when it serves; on the same port as before."""
        ready = threading.Event()

        def on_ready(cluster: Cluster) -> None:
            self.cluster = cluster
            ready.set()

        def run() -> None:
            try:
                serve(self.folder / "database", on_ready=on_ready, stop=self._stop)
            except BaseException as error:
                self._error = error
                ready.set()

        self._stop.clear()
        self._thread = threading.Thread(target=run, name="test-postgresql")
        with pytest.MonkeyPatch.context() as patch:
            if self._programs is not None:
                patch.setattr(cluster_module, "_programs", lambda: self._programs)
            if self._language is not None:
                patch.setenv("LANGUAGE", self._language)
            self._thread.start()
            ready.wait(60)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Returns when it has ended; connections are cut."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)

    def remove(self) -> None:
        """Ends it and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def translated_programs() -> Path | None:
    """Find a PostgreSQL that is built with translations, as distributions build it; None if there is none."""
    for program in sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_config"), reverse=True):
        configured = subprocess.run([program, "--configure"], capture_output=True, text=True, check=True).stdout
        if "--enable-nls" in configured and (program.parent / "initdb").exists():
            return program.parent
    return None


def private_postgresql() -> str:
    """Address of a server that lives as long as this process."""
    server = PrivateServer()
    # Threads that still run are waited for before the functions of atexit are called.
    threading._register_atexit(server.remove)  # type: ignore[attr-defined]
    atexit.register(server.remove)
    server.start()
    return server.address
