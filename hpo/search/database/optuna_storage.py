"""Optuna's own storage, for its dashboard and for creating and upgrading its tables. Workers do not need it."""

from __future__ import annotations

import copy
import functools
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from hpo.errors import StorageError
from hpo.search.database.address import shown
from hpo.search.database.engine import driver_arguments
from hpo.search.database.sqlite import open_file

Run = Callable[[Callable[[], Any]], Any]
"""Calls a function and retries it after transient errors; see `hpo.search.database.retry`."""


def plain_storage(url: URL, *, create: bool = False, check: bool = True) -> RDBStorage:
    """Return Optuna's storage with its own engine.

    Args:
        create: whether to create Optuna's tables.
        check: whether to check that they have the version of the installed Optuna.

    Raises:
        StorageError: if they have another version.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _new_storage(url, create=create, check=check)
    except RuntimeError:
        found = _new_storage(url, create=False, check=False)
        current = found.get_current_version()
        if current == found.get_head_version():
            raise
        fix = "run `hpo db upgrade`" if current in found.get_all_versions() else "update Optuna"
    raise StorageError(
        f"{shown(url)} has tables of another version of Optuna than {optuna.__version__}, installed here; {fix}"
    )


def _new_storage(url: URL, *, create: bool, check: bool) -> RDBStorage:
    return RDBStorage(
        # RDBStorage passes its address to str.format, so escape braces in a password.
        url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
        engine_kwargs=_engine_options(url),
        skip_table_creation=not create,
        skip_compatibility_check=not check,
    )


def tables_as_sql() -> list[str]:
    """Return the SQLite statements that create Optuna's tables and note their version, for one transaction."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as memory:
        RDBStorage("sqlite://", engine_kwargs={"poolclass": StaticPool, "creator": lambda: memory})
        return [line for line in memory.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]


def _engine_options(url: URL) -> dict[str, Any]:
    options: dict[str, Any] = {"poolclass": NullPool, "connect_args": driver_arguments(url)}
    if url.get_backend_name() == "sqlite":
        # Optuna's engine has no events yet when it first connects.
        options["creator"] = functools.partial(open_file, None, None, [url.database], options["connect_args"])
    return options


def storage_on(url: URL, engine: Engine) -> BaseStorage:
    """Return Optuna's storage on `engine`, with Optuna's cache of finished trials."""
    storage = plain_storage(url)
    storage.engine.dispose()
    storage.engine = engine
    storage.scoped_session = scoped_session(sessionmaker(bind=engine))
    return get_storage(storage)


def with_retries(storage: BaseStorage, run: Run) -> BaseStorage:
    """Return a storage whose calls go through `run`, except those that create a study or a trial."""
    # Creating is not idempotent: a retry after a lost reply to COMMIT would leave two of them.
    retrying = copy.copy(storage)
    for name in dir(BaseStorage):
        if name.startswith(("get_", "set_", "delete_")):
            setattr(retrying, name, _through(run, getattr(storage, name)))
    return retrying


def _through(run: Run, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def retryingly(*arguments: Any, **options: Any) -> Any:
        return run(lambda: method(*arguments, **options))

    return retryingly
