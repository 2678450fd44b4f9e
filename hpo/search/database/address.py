"""Resolve the address of a database, from `--storage`, `HPO_STORAGE` or the default, to a valid `sqlalchemy.URL`."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from hpo import DISTRIBUTION
from hpo.errors import OutputError, StorageError, did_you_mean
from hpo.files import atomic_write

ENVIRONMENT_VARIABLE = "HPO_STORAGE"
DEFAULT_ADDRESS = "sqlite:///hpo.sqlite3"

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_EXTRAS = {"postgresql": f"{DISTRIBUTION}[postgres]", "mysql": f"{DISTRIBUTION}[mysql]"}
_FORM = (
    "give sqlite:///FILE, or postgresql:// or mysql://USER:PASSWORD@HOST:PORT/DATABASE; "
    "in a password write @ / : % as %40 %2F %3A %25; or @FILE for a file that holds it, - to read it from stdin"
)


def resolve_address(option: str | None) -> URL:
    """Return the address of the database: `option`, else HPO_STORAGE, else hpo.sqlite3 in the current folder.

    Either may be `@FILE`, a file with the address, or `-`, to read it from standard input. The path of a SQLite file is
    made absolute, so that workers started in other folders use the same file.

    Raises:
        StorageError: without the password, if the address is malformed or of an unknown kind, or its driver is missing.
    """
    text, source = option, "--storage"
    if text is None:
        text, source = os.environ.get(ENVIRONMENT_VARIABLE) or None, ENVIRONMENT_VARIABLE
    if text is None:
        text, source = DEFAULT_ADDRESS, "default"
    text = text.strip()
    if text == "-":
        text, source = _from_stdin(), "the address on standard input"
    elif text.startswith("@"):
        text, source = _from_file(Path(text[1:]).expanduser()), text[1:]
    return parse_address(text, source)


def parse_address(text: str, source: str) -> URL:
    """Validate an address; errors name `source` as its origin.

    Raises:
        StorageError: as `resolve_address`.
    """
    url = _with_driver(_parsed(text, source), source)
    return _absolute(url, source) if url.get_backend_name() == "sqlite" else url


def write_address_file(path: Path, url: URL | str) -> None:
    """Write the address with its password to a file that only its owner may read, atomically, for `--storage @FILE`.

    Raises:
        OutputError: if it cannot be written.
    """
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    try:
        with atomic_write(path, 0o600) as part:
            part.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def shown(url: URL) -> str:
    """Return the address in a form safe to print: *** for the password, and no options, which may contain secrets."""
    return url.set(query={}).render_as_string(hide_password=True)


def _from_file(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise StorageError(f"the address file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StorageError(f"the address file {path} is not text") from None
    if text := next((line.strip() for line in lines if line.strip()), ""):
        return text
    raise StorageError(f"the address file {path} is empty; write the address on its first line")


@cache
def _from_stdin() -> str:
    if text := sys.stdin.readline().strip():
        return text
    raise StorageError("--storage - reads the address from standard input, which is empty")


def _parsed(text: str, source: str) -> URL:
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise StorageError(f"{source} is not a database address; {_FORM}") from None
    if "@" in (url.host or ""):
        raise StorageError(f"{source} has an unescaped @ in its user name or password; {_FORM}")
    return url


def _with_driver(url: URL, source: str) -> URL:
    backend = url.drivername.partition("+")[0]
    if backend == "postgres":
        backend = "postgresql"
    if backend not in _DRIVERS:
        raise StorageError(f"{source}: unknown database {backend}{did_you_mean(backend, _DRIVERS)}")
    if "+" not in url.drivername:
        url = url.set(drivername=_DRIVERS[backend])
    elif backend == "mariadb":
        url = url.set(drivername=url.drivername.replace("mariadb+", "mysql+", 1))
    backend = url.get_backend_name()
    fix = f"pip install '{_EXTRAS.get(backend, DISTRIBUTION)}' and write {backend}://"
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except (NoSuchModuleError, ImportError):
        raise StorageError(f"{source}: the driver of {url.drivername}:// is not installed; {fix}") from None
    if dialect.is_async:
        raise StorageError(f"{source}: {url.drivername}:// is an asynchronous driver; {fix}")
    return url


def _absolute(url: URL, source: str) -> URL:
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise StorageError(f"{source}: a study needs a permanent file; give sqlite:///FILE")
    return url.set(database=str(Path(name).expanduser().absolute()))
