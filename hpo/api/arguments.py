"""What the functions of the interface do with their arguments."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import UsageError
from hpo.revision import code_version
from hpo.text import brief


def as_text(path: str | Path | None) -> str | None:
    """Return a path as text, and None for None."""
    return None if path is None else str(path)


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
