"""What completes the names in a command line.

Imports stand within functions where they are slow: every command imports this module, and only the Tab key needs them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from hpo.study.catalogue import DATASETS

ANSWER_SECONDS = 1.0
"""How long the database may take to name its studies before the shell gets none."""


def complete_datasets(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """Short names of datasets, with what they are."""
    names = {d.name: f"{d.dimensions}D, {d.development_rows} development samples" for d in DATASETS}
    return [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(begun.lower())]


def complete_studies(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """Names of the studies in the database of the command line, if it answers within ANSWER_SECONDS; else none."""
    # Loading SQLAlchemy from a slow disk is no fault of the database, so it does not count.
    import hpo.search.study  # noqa: F401

    found: list[CompletionItem[str]] = []

    def ask() -> None:
        # A shell that waits for a name wants no error, whatever it is.
        with contextlib.suppress(Exception):
            found.extend(_studies(context.params.get("storage"), begun))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return list(found)


def complete_settings(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem[str]]:
    """Keys of `--set`, as they stand before the value: `budget.epochs=`, `space.margin.low=`."""
    from hpo.study.config import settings

    keys: dict[str, str] = {"dataset": ""}
    keys |= _section_keys()
    for setting in settings().values():
        keys[f"fixed.{setting.name}"] = setting.description
        ends: Iterable[str] = ("choices",) if setting.choices is not None else ("low", "high", "log", "choices")
        keys |= {f"space.{setting.name}.{end}": setting.description for end in ends}
    return [CompletionItem(f"{key}=", help=text) for key, text in keys.items() if key.startswith(begun)]


def _section_keys() -> dict[str, str]:
    from hpo.study.files import SECTIONS

    return {
        f"{section}.{name}": field.description or ""
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    }


def _studies(storage: str | None, begun: str) -> list[CompletionItem[str]]:
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import list_studies

    if (storage or os.environ.get("HPO_STORAGE", "")).strip() == "-":
        return []
    database = open_database(resolve_address(storage), create=False, outage=0.0)
    rows = list_studies(database)
    named = [row for row in rows if row.name.startswith(begun)]
    return [CompletionItem(row.name, help=f"{row.finished} of {row.trials} trials") for row in named]
