"""Optuna's migration scripts, read once in a process, not twice for each database that is opened: .05 s each time."""

from __future__ import annotations

import threading

from alembic.config import Config
from alembic.script import ScriptDirectory

_from_config = ScriptDirectory.from_config
_lock = threading.Lock()
_read: dict[str | None, ScriptDirectory] = {}


def _scripts_of(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location")
    with _lock:
        if place not in _read:
            _read[place] = _from_config(config)
            # Now, so that threads find all of them read.
            _read[place].get_current_head()
        return _read[place]


def keep_scripts() -> None:
    """Let Alembic return the scripts of a folder that it has read before."""
    ScriptDirectory.from_config = _scripts_of  # type: ignore[method-assign, assignment]
