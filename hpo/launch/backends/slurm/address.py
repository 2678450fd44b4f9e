"""How the workers of a job find the database: a 0600 file beside their logs, never the address itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from hpo.errors import StorageError
from hpo.files import expanded
from hpo.launch.backends.slurm.script import slug

_HERE_ONLY = ("", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class WorkerAddress:
    """A database as jobs find it. file: holds the address; host: of the server, None for a SQLite file.

    text: what to write into `file`, None if the user wrote it; secret: the password, not to be inherited by a job.
    """

    file: Path
    host: str | None
    text: str | None = field(repr=False)
    secret: str | None = field(repr=False)

    def write(self) -> None:
        """Write the file, readable by its owner only. Raises OutputError."""
        from hpo.search.database.address import write_address_file

        if self.text is not None:
            write_address_file(self.file, self.text)


def worker_address(storage: str | None, study: str, log_dir: Path, *, one_node: bool) -> WorkerAddress:
    """Return the address of `--storage` or HPO_STORAGE for workers on other hosts, or only on this one if `one_node`.

    Raises:
        StorageError: if other hosts could not use it.
    """
    from hpo.search.database.address import resolve_address, shown

    url = resolve_address(storage)
    server = url.get_backend_name() != "sqlite"
    if not server and not one_node:
        raise StorageError(
            f"{shown(url)}: a SQLite file serves one host, and jobs of Slurm run on any; start a server with "
            "`hpo db serve` and give its address to --storage, or keep all jobs on this host with --one-node"
        )
    if server and (url.host or "") in _HERE_ONLY and not one_node:
        raise StorageError(
            f"{shown(url)}: other hosts do not find a database at {url.host or 'a local socket'}; give the name of "
            f"its host, here {os.uname().nodename}, or keep all jobs on this host with --one-node"
        )
    if url.get_backend_name() == "postgresql" and url.password is None and os.environ.get("PGPASSWORD"):
        url = url.set(password=os.environ["PGPASSWORD"])
    host = (url.host or None) if server else None
    given = (storage or os.environ.get("HPO_STORAGE") or "").strip()
    if given.startswith("@"):
        return WorkerAddress(expanded(given[1:]).absolute(), host, None, _text(url.password))
    # Each user has another one: in a folder of their group the next one would replace it, and only its owner reads it.
    digest = sha256(f"{study}\n{shown(url)}\n{os.getuid()}".encode()).hexdigest()[:8]
    file = log_dir / f"{slug(study)}-{digest}.address"
    return WorkerAddress(file, host, url.render_as_string(hide_password=False), _text(url.password))


def _text(password: object) -> str | None:
    return None if password is None else str(password)
