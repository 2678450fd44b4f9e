"""Change the table of a study file by `--set section.key=value`."""

from __future__ import annotations

from typing import Any

from hpo.errors import UsageError
from hpo.study.config import settings
from hpo.study.sections import TOP_LEVEL, parse_toml
from hpo.study.space import TomlTable
from hpo.text import brief

MOST_PARTS = 10
"""Largest number of parts of a key of `--set`."""


def apply_overrides(table: TomlTable, overrides: tuple[str, ...]) -> None:
    """Apply each `section.key=value` to the table; values are TOML, bare words are strings.

    Fixing a searched setting removes it from the space, together with the settings that then have no effect; searching
    a fixed setting removes it from [fixed].

    Raises:
        UsageError: if an override is malformed.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UsageError(f"--set {brief(text)}: give section.key=value, for example --set budget.epochs=5")
        if len(parts) > MOST_PARTS:
            raise UsageError(f"--set {brief(text)}: a key has at most {MOST_PARTS} parts")
        where, given = table, toml_value(value.strip())
        if len(parts) == 1 and key.strip() in TOP_LEVEL[1:-1] and not isinstance(given, dict):
            raise UsageError(f"--set {brief(text)}: {parts[0]} is a section; give --set {parts[0]}.KEY=VALUE")
        for part in parts[:-1]:
            where = where.setdefault(part, {})
            if not isinstance(where, dict):
                raise UsageError(f"--set {brief(text)}: {part} is a value, not a section")
        where[parts[-1]] = given
        if len(parts) == 2 and parts[0] == "fixed":
            _remove(table, "space", parts[1])
            _remove_settings_without_effect(table, parts[1], where[parts[1]])
        if len(parts) >= 2 and parts[0] == "space":
            _remove(table, "fixed", parts[1])
            if len(parts) == 3:
                for other in ("low", "high", "log") if parts[2] == "choices" else ("choices",):
                    where.pop(other, None)


def _remove_settings_without_effect(table: TomlTable, name: str, value: Any) -> None:
    for setting in settings().values():
        if any(other == name and value not in legal for other, legal in setting.when):
            _remove(table, "space", setting.name)
            _remove(table, "fixed", setting.name)
            # With no value of it can what depends on it have an effect.
            _remove_settings_without_effect(table, setting.name, None)


def _remove(table: TomlTable, section: str, key: str) -> None:
    # A study file may have a value in the place of a section, which `check_spec` reports.
    if isinstance(entries := table.get(section), dict):
        entries.pop(key, None)


def toml_value(text: str) -> Any:
    """Return a value that was typed, as TOML; what is none is a string."""
    try:
        # A line break would begin a second entry.
        found = parse_toml(f"value = {text}") if "\n" not in text else {}
    except ValueError:
        return text
    return found.get("value", text)
