"""Check the options of an address, the part after the question mark."""

from __future__ import annotations

import stat
from pathlib import Path

from sqlalchemy.engine import URL

from hpo.errors import StorageError, did_you_mean

_SQLITE = frozenset({"timeout"})

_PYMYSQL = frozenset(
    {
        *("charset", "collation", "connect_timeout", "read_timeout", "write_timeout", "unix_socket", "bind_address"),
        *("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password", "ssl_check_hostname", "ssl_disabled", "ssl_verify_cert"),
        *("ssl_verify_identity", "program_name", "init_command", "sql_mode"),
        *("read_default_file", "read_default_group", "server_public_key"),
    }
)
"""Arguments of `pymysql.connect` that keep the meaning of a connection: transactions, types, result rows."""

_FILES = frozenset(
    {"ssl_ca", "ssl_cert", "ssl_key", "read_default_file", "sslcert", "sslkey", "sslcrl", "passfile", "servicefile"}
)
MOST_BYTES = 2**20
"""Options that name a file, and its largest size."""

_CHARACTER_SETS = {"charset": "utf8mb4", "client_encoding": "utf8"}
"""Options for the encoding of text, by driver, and the only legal value: names can have any letter."""


def check_options(url: URL, source: str) -> None:
    """Check that the driver of an address knows its options, and that none changes how hpo works.

    Raises:
        StorageError: with the closest legal option; `source` says where the address came from.
    """
    legal = _legal(url)
    for name, value in url.query.items():
        if legal is not None and name not in legal:
            hint = did_you_mean(name, sorted(legal))
            raise StorageError(f"{source}: {name!r} is not an option here; write a ? of a path as %3F{hint}")
        if name in _FILES:
            _check_file(Path(str(value)), name, source)
        wanted = _CHARACTER_SETS.get(name)
        if wanted is not None and str(value).lower().replace("-", "") != wanted:
            raise StorageError(f"{source}: {name} must be {wanted}")
    if url.get_backend_name() == "sqlite":
        _check_seconds(url, source)


def _legal(url: URL) -> frozenset[str] | None:
    """Return the options of a driver that hpo installs; None for another."""
    if url.get_backend_name() == "sqlite":
        return _SQLITE
    if url.get_driver_name() == "pymysql":
        return _PYMYSQL
    if url.get_driver_name() == "psycopg":
        from psycopg import pq

        return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
    return None


def _check_file(path: Path, name: str, source: str) -> None:
    # Drivers read these whole: a device would never end.
    try:
        is_small = stat.S_ISREG(path.stat().st_mode) and path.stat().st_size <= MOST_BYTES
    except OSError as error:
        raise StorageError(f"{source}: {name} = {path} cannot be read: {error.strerror}") from None
    if not is_small:
        raise StorageError(f"{source}: {name} = {path} is not a file of at most {MOST_BYTES:,} bytes")


def _check_seconds(url: URL, source: str) -> None:
    value = url.query.get("timeout", "1")
    try:
        is_legal = 0 <= float(str(value)) <= 1e6
    except ValueError:
        is_legal = False
    if not is_legal:
        raise StorageError(f"{source}: timeout = {value!r} is not a number of seconds")
