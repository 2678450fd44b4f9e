"""Complete names in a command line.

Slow imports are inside functions: every command imports this module, and only the Tab key needs them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator

import click
from click.shell_completion import CompletionItem

from hpo.study.catalogue import DATASETS

ANSWER_SECONDS = 1.0
"""Seconds that the database may take to list its studies before the shell gets none."""


def complete_datasets(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete short names of datasets, with a description."""
    with _without_warnings():
        known = list(DATASETS)
    names = {d.name: f"{d.dimensions}D, {d.development_rows} development samples" for d in known}
    return [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(start.lower())]


def complete_backends(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of launch backends, with where their workers run."""
    from hpo.launch.backends.base import BACKENDS

    with _without_warnings():
        entries = [BACKENDS.entry(name) for name in BACKENDS.names() if name.startswith(start)]
    return [CompletionItem(entry.name, help=entry.description) for entry in entries]


def complete_presets(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of clusters, the user's own included."""
    from hpo.launch.backends.slurm.own_presets import preset_names

    return [CompletionItem(name) for name in preset_names() if name.startswith(start)]


def complete_reporters(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of reporters, with where they report to."""
    from hpo.search.worker.reporter import REPORTERS

    with _without_warnings():
        entries = [REPORTERS.entry(name) for name in REPORTERS.names() if name.startswith(start)]
    return [CompletionItem(entry.name, help=entry.description) for entry in entries]


def complete_studies(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of studies in the command line's database, if it answers within ANSWER_SECONDS; else none."""
    # Import before the clock starts: loading SQLAlchemy from a slow disk says nothing about the database.
    import hpo.search.study  # noqa: F401

    found: list[CompletionItem[str]] = []

    def ask() -> None:
        # Completion must not print errors of any kind.
        with contextlib.suppress(Exception):
            found.extend(_studies(context.params.get("storage"), start))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return list(found)


def complete_sources(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of studies and of datasets."""
    return [*complete_studies(context, parameter, start), *complete_datasets(context, parameter, start)]


def complete_methods(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete names of training methods, with what they do."""
    from hpo.study.methods import METHODS

    return [CompletionItem(one.name, help=one.about) for one in METHODS if one.name.startswith(start)]


def complete_settings(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem[str]]:
    """Complete keys of `--set` up to the value: `budget.epochs=`, `space.margin.low=`; then choices.

    After the equals sign it completes legal choices, plug-ins' included: `fixed.loss=aucm_v1`.
    """
    from hpo.study.config import settings

    key, has_value, value = start.partition("=")
    if has_value:
        with _without_warnings():
            names = _choices(key)
        return [CompletionItem(f"{key}={name}") for name in names if name.startswith(value)]
    keys: dict[str, str] = {"dataset": ""}
    keys |= _section_keys()
    for setting in settings().values():
        keys[f"fixed.{setting.name}"] = setting.description
        ends: Iterable[str] = ("choices",) if setting.choices is not None else ("low", "high", "log", "choices")
        keys |= {f"space.{setting.name}.{end}": setting.description for end in ends}
    return [CompletionItem(f"{key}=", help=text) for key, text in keys.items() if key.startswith(start)]


def _choices(key: str) -> Iterable[str]:
    """Return the registered names, or other choices, of a key of `--set`; none for a number."""
    from hpo.study.choices import PRUNERS, SAMPLERS
    from hpo.study.config import settings

    registries = {"dataset": DATASETS, "search.sampler": SAMPLERS, "search.pruner": PRUNERS}
    if key in registries:
        return registries[key].names()
    setting = settings().get(key.removeprefix("fixed."))
    choices = setting.choices if setting is not None and key.startswith("fixed.") else None
    return [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices or ()]


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppress warnings, such as on a plug-in that was not loaded: completion must not print them."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _section_keys() -> dict[str, str]:
    from hpo.study.sections import SECTIONS

    return {
        f"{section}.{name}": field.description or ""
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    }


def _studies(storage: str | None, start: str) -> list[CompletionItem[str]]:
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.queries.listing import list_studies

    if (storage or os.environ.get("HPO_STORAGE", "")).strip() == "-":
        return []
    database = open_database(resolve_address(storage), create=False, outage=0.0)
    rows = list_studies(database)
    named = [row for row in rows if row.name.startswith(start)]
    return [CompletionItem(row.name, help=f"{row.finished} of {row.trials} trials") for row in named]
