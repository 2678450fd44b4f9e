"""Resolve the address of a database, from `--storage`, `HPO_STORAGE` or the default, to a valid `sqlalchemy.URL`."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from hpo.errors import OutputError, StorageError, did_you_mean
from hpo.files import atomic_write, expanded, read_text
from hpo.search.database.options import check_options
from hpo.text import brief, installing

ENVIRONMENT_VARIABLE = "HPO_STORAGE"
DEFAULT_ADDRESS = "sqlite:///hpo.sqlite3"

MOST_CHARACTERS = 2**14
"""Largest length of an address, and of a file that holds one."""

MOST_PATH, MOST_NAME = 4095, 255
"""Bytes of a path and of one name in it that Linux allows; SQLite adds `-journal` to the name."""

_log = logging.getLogger(__name__)

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}
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
        text, source = _from_file(expanded(text[1:])), text[1:]
    return parse_address(text, source)


def parse_address(text: str, source: str) -> URL:
    """Validate an address; errors name `source` as its origin.

    Raises:
        StorageError: as `resolve_address`.
    """
    if len(text) > MOST_CHARACTERS:
        raise StorageError(f"{source} has {len(text):,} characters, which is no database address; {_FORM}")
    _check_text(text, source)
    url = _with_driver(_parsed(text, source), source)
    check_options(url, source)
    if url.get_backend_name() == "sqlite":
        return _absolute(url, source)
    _check_server(url, source)
    return url


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
        lines = read_text(path, MOST_CHARACTERS).split("\n")
        mode = path.stat().st_mode
    except OSError as error:
        raise StorageError(f"the address file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise StorageError(f"the address file {path} is not text of a few lines") from None
    text = next((line.strip() for line in lines if line.strip()), "")
    if not text:
        raise StorageError(f"the address file {path} is empty; write the address on its first line")
    if mode & 0o077 and "@" in text:
        _warn_of_readers(path, mode)
    return text


@cache
def _warn_of_readers(path: Path, mode: int) -> None:
    _log.warning(
        "%s holds a password and can be read by others (mode %04o); run: chmod 600 %s",
        path,
        mode & 0o7777,
        quote(str(path)),
    )


@cache
def _from_stdin() -> str:
    try:
        if text := sys.stdin.readline(MOST_CHARACTERS + 1).strip():
            return text
    except (UnicodeDecodeError, OSError):
        raise StorageError("--storage - reads the address from standard input, which is not text in UTF-8") from None
    raise StorageError("--storage - reads the address from standard input, which is empty")


def _check_text(text: str, source: str) -> None:
    """Check that an address is text, with escapes of text, where SQLAlchemy would put U+FFFD in the place of others."""
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()
    except UnicodeError:
        raise StorageError(f"{source} has bytes or % escapes that are not UTF-8; write % as %25 and ? as %3F") from None
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in decoded):
        raise StorageError(f"{source} has a control character; {_FORM}")


def _parsed(text: str, source: str) -> URL:
    try:
        url = make_url(text.strip())
    except ArgumentError:
        raise StorageError(f"{source} is not a database address; {_FORM}") from None
    except ValueError:
        raise StorageError(f"{source} has a port that is no number; {_FORM}") from None
    # Only options with a value reach `url.query`.
    if text.partition("?")[2] and not url.query:
        raise StorageError(f"{source} has no option after its ?; write a ? of a path as %3F")
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
    fix = f"{installing(_EXTRAS[backend])} and write {backend}://" if backend in _EXTRAS else f"write {backend}://"
    try:
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except (NoSuchModuleError, ImportError):
        raise StorageError(f"{source}: the driver of {url.drivername}:// is not installed; {fix}") from None
    if dialect.is_async:
        raise StorageError(f"{source}: {url.drivername}:// is an asynchronous driver; {fix}")
    return url


def _absolute(url: URL, source: str) -> URL:
    if url.host or url.username or url.port:
        raise StorageError(f"{source}: a SQLite file has no host; give sqlite:///FILE, or sqlite:////WHOLE/PATH")
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise StorageError(f"{source}: a study needs a permanent file; give sqlite:///FILE")
    path = expanded(name).absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise StorageError(f"{source}: the path of the current folder is not UTF-8; change to another one") from None
    if len(os.fsencode(path)) > MOST_PATH or len(os.fsencode(path.name)) > MOST_NAME:
        raise StorageError(f"{source}: the path of the file is too long; give a shorter one")
    return url.set(database=str(path))


def _check_server(url: URL, source: str) -> None:
    if url.get_backend_name() == "mysql" and not url.database:
        raise StorageError(f"{source} names no database; {_FORM}")
    if url.port is not None and not 0 < url.port < 65536:
        raise StorageError(f"{source}: port {brief(url.port)} is not from 1 to 65535")
    host = url.host or ""
    if len(host) > MOST_NAME or any(len(label) > 63 for label in host.split(".")):
        raise StorageError(f"{source} has a host name that is too long; {_FORM}")
