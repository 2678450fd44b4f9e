"""Start points: configurations that the first searched trials of a study take, in whole or in part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from hpo.errors import did_you_mean
from hpo.study.config import ConfigValues, SettingValue, applies, problem_of, settings
from hpo.study.space import Choices, FloatRange, IntRange, Space, suggestion_order
from hpo.text import brief

MOST_STARTS = 100
"""Largest number of start points of a study."""

MOST_LETTERS = 250
"""Largest length of the name of a start point: that of a study and a trial number."""


class Start(BaseModel):
    """A start point.

    Attributes:
        values: of searched settings; the sampler draws those that are not named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    values: ConfigValues


def read_starts(tables: Any, fixed: ConfigValues, space: Space, problems: list[str]) -> tuple[Start, ...]:
    """Parse the tables [[start]] of a study file; append errors to `problems`.

    Args:
        tables: a list of tables, each with settings and perhaps a name; the default name is its place, from 1.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("start is not a list of tables; write [[start]] in double brackets")
        return ()
    if len(tables) > MOST_STARTS:
        problems.append(f"there are {len(tables)} tables [[start]]; at most {MOST_STARTS} are allowed")
        return ()
    starts: list[Start] = []
    for place, table in enumerate(tables, start=1):
        name = table.get("name", str(place))
        own = _problems_of_name(name, [start.name for start in starts])
        where = f"[[start]] {place}" if own or name == str(place) else f"[[start]] {name}"
        values = {key: value for key, value in table.items() if key != "name"}
        own += [problem for key, value in values.items() if (problem := _problem_of_value(key, value, fixed, space))]
        if not values:
            own.append("names no setting; give at least one")
        if not own:
            values = {key: _typed(key, value) for key, value in values.items()}
            own += [problem for key in values if (problem := _problem_of_condition(key, values, fixed, space))]
        problems += [f"{where}: {problem}" for problem in own]
        if not own:
            starts.append(Start(name=name, values=values))
    return tuple(starts)


def _problems_of_name(name: object, others: list[str]) -> list[str]:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MOST_LETTERS:
        return [f"name = {brief(name)} is not a text of 1 to {MOST_LETTERS} printable characters"]
    return [f"the name {name} is given twice; give each start point its own"] if name in others else []


def _problem_of_value(name: str, value: object, fixed: ConfigValues, space: Space) -> str | None:
    if name not in settings():
        return f"{name} is not a setting{did_you_mean(name, space)}"
    if problem := problem_of(name, value):
        return problem
    if name in fixed:
        return f"{name} is fixed for all trials, at {fixed[name]}; leave it out"
    if name not in space:
        return f"{name} is not searched; leave it out, or add [space.{name}]"
    entry = space[name]
    if isinstance(entry, Choices):
        legal = ", ".join(map(str, entry.choices))
        return None if value in entry.choices else f"{name} = {brief(value)} is not a choice of [space.{name}]: {legal}"
    assert isinstance(value, (int, float))
    if entry.low <= value <= entry.high:
        return None
    return f"{name} = {value} is outside of [space.{name}], {entry.low:g} to {entry.high:g}"


def _typed(name: str, value: SettingValue) -> SettingValue:
    return float(value) if settings()[name].kind is float else value


def _problem_of_condition(name: str, values: ConfigValues, fixed: ConfigValues, space: Space) -> str | None:
    drawn = _undecided(name, values, space)
    if drawn is not None:
        return f"{name} depends on {drawn}, which the sampler would draw; name {drawn}, too"
    if applies(name, {**fixed, **values}):
        return None
    needs = " and ".join(f"{other} in {{{', '.join(map(str, legal))}}}" for other, legal in settings()[name].when)
    return f"{name} has no effect here: it requires {needs}"


def _undecided(name: str, values: Mapping[str, object], space: Space) -> str | None:
    """Return a setting on which `name` depends and which the sampler draws; None if there is none."""
    for other, _ in settings()[name].when:
        if other in space and other not in values:
            return other
        if (further := _undecided(other, values, space)) is not None:
            return further
    return None


def fitted(
    start: Start, fixed: ConfigValues, space: Space, fixed_before: ConfigValues | None = None
) -> tuple[Start | None, list[str]]:
    """Fit a start point of another study, or of this one before a change, into a space.

    Args:
        start: any values of settings, also of those that there are not.
        fixed_before: settings that are fixed where it is from, if its values are not of all that has an effect there.

    Returns:
        The nearest start point of the space, None if it has no values there; and what was changed, a sentence each.
    """
    values: ConfigValues = {}
    whole = {**(fixed_before or {}), **start.values}
    notes = [note for name, value in start.values.items() if (note := _without_place(name, value, fixed, space))]
    for name in suggestion_order(space):
        if name not in start.values or not applies(name, whole):
            continue
        if (drawn := _undecided(name, values, space)) is not None:
            notes.append(f"{name} is left out: it depends on {drawn}, which is drawn")
        elif applies(name, {**fixed, **values}):
            value = start.values[name]
            near = _nearest(space[name], value)
            if near is None:
                notes.append(f"{name} = {value} is no choice here; it is drawn")
            else:
                values[name] = _typed(name, near)
                if near != value:
                    notes.append(f"{name} = {value} becomes {near}, the nearest in this space")
    found = Start(name=start.name, values=values) if values else None
    if found is None:
        notes.append("nothing of it is searched here; it is left out")
    return found, [f"start {start.name}: {note}" for note in notes]


def _without_place(name: str, value: SettingValue, fixed: ConfigValues, space: Space) -> str | None:
    """Return why a value has no place in a space; None if it has one, or nothing is lost."""
    known = settings()
    if name in space:
        return None
    if name not in known:
        return f"{brief(name)} = {brief(value)} is left out: there is no such setting here"
    here = fixed.get(name, known[name].default)
    return None if here == value else f"{name} = {value} is left out: it is not searched here, but always {here}"


def _nearest(entry: FloatRange | IntRange | Choices, value: SettingValue) -> SettingValue | None:
    if isinstance(entry, Choices):
        same = [choice for choice in entry.choices if choice == value and type(choice) is type(value)]
        if same or isinstance(value, (bool, str)):
            return same[0] if same else None
        numbers = [choice for choice in entry.choices if not isinstance(choice, (bool, str))]
        return min(numbers, key=lambda choice: abs(choice - value), default=None)
    if isinstance(value, (bool, str)):
        return None
    near = min(max(value, entry.low), entry.high)
    return round(near) if isinstance(entry, IntRange) else near
