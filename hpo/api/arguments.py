"""What the functions of the interface do with their arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hpo.errors import UsageError
from hpo.revision import code_version
from hpo.text import brief


def as_text(path: str | Path | None) -> str | None:
    """Return a path as text, and None for None."""
    return None if path is None else str(path)


def as_changes(overrides: Mapping[str, object] | None) -> tuple[str, ...]:
    """Return overrides as `--set` takes them.

    Raises:
        UsageError: if they are no dictionary, or a value is of a type that no study file has.
    """
    check_type("overrides", overrides, (Mapping, type(None)), "a dictionary by the keys of --set")
    return tuple(f"{key}={_as_toml(key, value)}" for key, value in (overrides or {}).items())


def _as_toml(key: str, value: object) -> str:
    # JSON's numbers, texts and truth values are TOML's; its objects are not.
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(str(name))} = {_as_toml(key, part)}" for name, part in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_as_toml(key, part) for part in value)}]"
    wanted = "a number, a text, True, False, or a list or dictionary of these"
    check_type(f"the value of {key}", value, (str, int, float), wanted)
    return json.dumps(value)


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
    """Raise UsageError unless each argument is a text, or None where none is given."""
    for name, value in arguments.items():
        wanted = "an address, such as sqlite:///hpo.sqlite3" if name == "storage" else "a text"
        check_type(name, value, (str, type(None)), wanted)
