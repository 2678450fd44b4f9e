"""Optuna's storage on our engine: its transactions too outlast an outage, and its errors become sentences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from hpo.errors import StorageError
from hpo.search.database.address import shown
from hpo.search.database.engine import driver_arguments

Run = Callable[[Callable[[], Any]], Any]
"""Runs a piece of work again as long as its error may pass; see `hpo.search.database.retry`."""

_NOT_TWICE = ("create_new_study", "create_new_trial", "_create_new_trial")
"""A lost answer to COMMIT would leave two of them. hpo makes both within transactions of its own."""

_CALLED = ("get_", "set_", "delete_", "record_", "_get_trials", "_get_best", "_get_stale", "_set_trial")
"""What begins the names of the methods that a study, or Optuna's cache, calls on its storage."""

_LOCAL = ("get_heartbeat_interval", "get_heartbeat_stale_trial_callback", "remove_session")


def plain_storage(url: URL, *, create: bool = False, check: bool = True) -> RDBStorage:
    """Optuna's storage with an engine of its own. create: makes Optuna's tables; check: that they are of this Optuna.

    Raises StorageError if Optuna's tables are of another version.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _new_storage(url, create=create, check=check)
    except RuntimeError:
        found = _new_storage(url, create=False, check=False)
        current = found.get_current_version()
        if current == found.get_head_version():
            raise
        cure = "run `hpo db upgrade`" if current in found.get_all_versions() else "update Optuna"
    raise StorageError(
        f"{shown(url)} has tables of another Optuna than {optuna.__version__}, which is installed here; {cure}"
    )


def _new_storage(url: URL, *, create: bool, check: bool) -> RDBStorage:
    return RDBStorage(
        # RDBStorage formats its address with str.format, so a brace in a password has to be doubled.
        url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
        engine_kwargs={"poolclass": NullPool, "connect_args": driver_arguments(url)},
        skip_table_creation=not create,
        skip_compatibility_check=not check,
    )


def patient_storage(url: URL, engine: Engine, run: Run) -> RDBStorage:
    """Optuna's storage on `engine`, each of whose calls goes through `run`."""
    storage = plain_storage(url)
    patient: RDBStorage = object.__new__(_patient_class())
    own = {"engine": engine, "scoped_session": _sessions(engine), "_hpo_run": run, "_hpo_url": url}
    patient.__dict__.update(storage.__dict__, **own)
    storage.engine.dispose()
    return patient


def storage_within(storage: RDBStorage, connection: sa.Connection) -> RDBStorage:
    """A storage whose commits are part of the connection's transaction, and whose calls are made once."""
    # copy.copy would connect again and read Optuna's migrations: 60 ms.
    within = object.__new__(RDBStorage)
    within.__dict__.update(storage.__dict__, scoped_session=_sessions(connection, join="create_savepoint"))
    return within


def _sessions(bind: Engine | sa.Connection, join: Any = "conditional_savepoint") -> Any:
    return scoped_session(sessionmaker(bind=bind, join_transaction_mode=join))


@functools.cache
def _patient_class() -> type[RDBStorage]:
    names = [name for name in dir(RDBStorage) if _speaks_to_the_database(name)]
    methods = {name: _through_run(getattr(RDBStorage, name)) for name in names}
    # An engine cannot go to another process, so what arrives there is a plain storage on the same database.
    return type(
        "PatientStorage", (RDBStorage,), {**methods, "__reduce__": lambda self: (plain_storage, (self._hpo_url,))}
    )


def _speaks_to_the_database(name: str) -> bool:
    if name in (*_NOT_TWICE, *_LOCAL) or not callable(getattr(RDBStorage, name)) or name.endswith("_without_commit"):
        return False
    return name.startswith(_CALLED)


def _through_run(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def patiently(self: Any, *arguments: Any, **options: Any) -> Any:
        return self._hpo_run(lambda: method(self, *arguments, **options))

    return patiently
