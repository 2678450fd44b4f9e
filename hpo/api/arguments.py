"""What the functions of the interface do with their arguments."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import UsageError
from hpo.revision import code_version
from hpo.text import brief

Number = TypeVar("Number")


def as_path(argument: str, path: str | Path | None) -> Path | None:
    """Return a path, and None for None. Raises UsageError for another type."""
    check_type(argument, path, (str, Path, type(None)), "a path")
    return None if path is None else Path(path)


def as_text(argument: str, path: str | Path | None) -> str | None:
    """Return a path as text, and None for None. Raises UsageError for another type."""
    check_type(argument, path, (str, Path, type(None)), "a path")
    return None if path is None else str(path)


def as_whole(number: Number) -> Number:
    """Return a whole number of NumPy as Python's, which can be stored, and all else as it is."""
    is_numpy = isinstance(number, Integral) and not isinstance(number, int)
    return int(number) if is_numpy else number  # type: ignore[call-overload]


def as_tuple(argument: str, values: Iterable[Any], legal: tuple[type, ...], wanted: str) -> tuple[Any, ...]:
    """Return the members of a sequence, or of anything that is gone through once.

    Args:
        wanted: what is legal, as the end of a sentence.

    Raises:
        UsageError: if it is none, such as a single text, or a member is of another type.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        check_type(argument, values, (), wanted)
    members = tuple(values)
    for member in members:
        check_type(argument, member, legal, wanted)
    return members


def as_changes(overrides: Mapping[str, object] | None) -> tuple[str, ...]:
    """Return overrides as `--set` takes them.

    Raises:
        UsageError: if they are no dictionary, or a value is of a type that no study file has.
    """
    check_type("overrides", overrides, (Mapping, type(None)), "a dictionary by the keys of --set")
    return tuple(f"{key}={_as_toml(key, value)}" for key, value in (overrides or {}).items())


def _as_toml(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_text(str(name))} = {_as_toml(key, part)}" for name, part in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (list, tuple, range)):
        return f"[{', '.join(_as_toml(key, part) for part in value)}]"
    if hasattr(value, "tolist"):
        # A number or an array of NumPy, a column of pandas.
        return _as_toml(key, value.tolist())
    wanted = "a number, a text, True, False, or a list or dictionary of these"
    check_type(f"the value of {key}", value, (str, Path, int, float), wanted)
    if isinstance(value, (str, Path)):
        return _text(str(value))
    # TOML writes nan and inf as Python does; its other numbers and truth values are JSON's.
    return json.dumps(value) if not isinstance(value, float) or math.isfinite(value) else str(value)


def _text(value: str) -> str:
    # JSON escapes what is beyond 16 bits by two halves, and leaves DEL as it is: TOML allows neither.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def running_code() -> str:
    """Return the version of the code, as studies that it creates store it."""
    return code_version()[0]


def check_study(study: object) -> None:
    """Raise UsageError unless an argument is an open study; its name alone does not say in which database it is."""
    # Imported late: what takes no study needs no database.
    from hpo.search.study import Study

    name = repr(study) if isinstance(study, str) else "name"
    check_type("study", study, (Study,), f"a Study, which hpo.open_study({name}, storage) returns")


def check_type(argument: str, value: object, legal: tuple[type, ...], wanted: str) -> None:
    """Check the type of an argument.

    Args:
        wanted: what is legal, as the end of a sentence.

    Raises:
        UsageError: if it is another one.
    """
    if not isinstance(value, legal):
        raise UsageError(f"{argument} is {type(value).__name__} {brief(value)}; give {wanted}")


def check_texts(**arguments: object) -> None:
    """Raise UsageError unless each argument is a text; `storage` and `name` may be None."""
    for name, value in arguments.items():
        wanted = "an address, such as sqlite:///hpo.sqlite3" if name == "storage" else "a text"
        check_type(name, value, (str, type(None)) if name in ("storage", "name") else (str,), wanted)
