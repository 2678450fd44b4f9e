"""The search space: a range or choices for each searched setting."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.study.config import ConfigValues, SettingValue, applies, problem_of, settings
from hpo.text import brief


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FloatRange(_Entry):
    """Real numbers from low to high, uniform or log-uniform."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False


class IntRange(_Entry):
    """Integers from low to high, uniform or log-uniform."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False


class Choices(_Entry):
    """One of a list of values."""

    kind: Literal["choices"] = "choices"
    choices: tuple[SettingValue, ...]


Range = Annotated[FloatRange | IntRange | Choices, Field(discriminator="kind")]

Space = dict[str, Range]
"""Searched settings by name."""

TomlTable = dict[str, Any]
"""A table of a study file, not yet validated."""

_RANGE_KEYS = ("low", "high", "log", "choices")


def read_range(name: str, table: TomlTable, problems: list[str]) -> FloatRange | IntRange | Choices | None:
    """Parse the entry [space.NAME] of a study file; append errors to `problems` and return None if there are any."""
    where = f"[space.{name}]"
    setting = settings()[name]
    own = [f"{where} {key} is not a key; legal: {', '.join(_RANGE_KEYS)}" for key in table if key not in _RANGE_KEYS]
    if "choices" in table:
        own += _problems_of_choices(where, name, table)
        problems += own
        return None if own else Choices(choices=tuple(table["choices"]))
    if setting.choices is not None:
        problems += [
            *own,
            f"{where} is a choice; give choices = [...] out of {', '.join(map(str, setting.choices))}",
        ]
        return None
    own += _problems_of_bounds(where, name, table)
    problems += own
    if own:
        return None
    bounds = {"low": table["low"], "high": table["high"], "log": table.get("log", False)}
    return IntRange(**bounds) if setting.kind is int else FloatRange(**bounds)


def _problems_of_choices(where: str, name: str, table: TomlTable) -> list[str]:
    choices = table["choices"]
    if not isinstance(choices, list) or not choices:
        return [f"{where} choices = {brief(choices)} is not a non-empty list"]
    problems = [f"{where} {problem}" for choice in choices if (problem := problem_of(name, choice))]
    # By value: of a real number 1 and 1.0 are one choice.
    if not problems and len(set(choices)) != len(choices):
        problems.append(f"{where} choices contains duplicates; remove them")
    if extra := [key for key in ("low", "high", "log") if key in table]:
        problems.append(f"{where} has choices and {', '.join(extra)}; give one or the other")
    return problems


def _problems_of_bounds(where: str, name: str, table: TomlTable) -> list[str]:
    missing = [key for key in ("low", "high") if key not in table]
    if missing:
        return [f"{where} has no {' and no '.join(missing)}; give low and high, or choices"]
    problems = []
    for key in ("low", "high"):
        if problem := problem_of(name, table[key]):
            problems.append(f"{where} {key}: {problem}")
    if not isinstance(table.get("log", False), bool):
        problems.append(f"{where} log = {brief(table['log'])} is neither true nor false")
    if problems:
        return problems
    low, high = table["low"], table["high"]
    if low > high:
        problems.append(f"{where} low = {low} exceeds high = {high}; give low <= high")
    if table.get("log") and low <= 0:
        problems.append(f"{where} log = true requires low > 0, not {low}")
    return problems


def reachable_values(name: str, fixed: ConfigValues, space: Space) -> tuple[SettingValue, ...] | None:
    """Return the values that a setting can take in a study, or None if it has a range of numbers."""
    if name in fixed:
        return (fixed[name],)
    entry = space.get(name)
    if entry is None:
        return (settings()[name].default,)
    return entry.choices if isinstance(entry, Choices) else None


def can_apply(name: str, fixed: ConfigValues, space: Space) -> bool:
    """Return whether a setting has an effect in at least one configuration of a study."""
    for other, legal in settings()[name].when:
        values = reachable_values(other, fixed, space)
        if values is not None and not any(value in legal for value in values):
            return False
        if not can_apply(other, fixed, space):
            return False
    return True


def suggestion_order(space: Space) -> list[str]:
    """Return the searched settings, each after those that it depends on."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for other, _ in settings()[name].when:
            if other in space:
                visit(other)
        ordered.append(name)

    for name in settings():
        if name in space:
            visit(name)
    return ordered


__all__ = [
    "Choices",
    "FloatRange",
    "IntRange",
    "Range",
    "applies",
    "can_apply",
    "read_range",
    "suggestion_order",
]
