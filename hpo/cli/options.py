"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hpo.launch.counts import AUTO, Count

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(command: F) -> F:
    """`--storage URL`."""
    return click.option(
        "--storage",
        metavar="URL",
        help="Database of the study: an SQLAlchemy URL, @FILE that holds it (0600), or - for standard input.  "
        "[default: $HPO_STORAGE, else sqlite:///hpo.sqlite3]",
    )(command)


def data_dir_option(command: F) -> F:
    """`--data-dir DIR`."""
    return click.option(
        "--data-dir", metavar="DIR", help="Folder of the MedMNIST files.  [default: $HPO_DATA_DIR, else ~/.medmnist]"
    )(command)


def checkpoint_dir_option(command: F) -> F:
    """`--checkpoint-dir DIR`."""
    return click.option(
        "--checkpoint-dir",
        metavar="DIR",
        help="Where running trials keep their state, on a path that all hosts share; none: nowhere.  "
        "[default: $HPO_CHECKPOINT_DIR, else hpo-checkpoints]",
    )(command)


class CountOrAuto(click.ParamType):  # type: ignore[type-arg]
    """A number of workers from 1, or `auto`."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Count:
        """The number, or the word; fails with what is legal."""
        if value == AUTO:
            return AUTO
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 nor auto", param, ctx)
        return int(value)


def device_option(command: F) -> F:
    """`--device NAME`."""
    return click.option("--device", metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:N.")(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def print_json(value: Any) -> None:
    """Prints a dataclass, or a list of them, as one JSON document; what is not a finite number becomes null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
