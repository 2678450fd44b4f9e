"""Share options, each declared once, and functions to print.

Results go to stdout, messages to stderr.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hpo.cli.completers import complete_datasets, complete_reporters, complete_settings, complete_studies
from hpo.files import expanded
from hpo.launch.backends.local import AUTO, Count
from hpo.study.ranges import WORKERS
from hpo.study.stored import JSON_KEY
from hpo.text import brief

F = TypeVar("F", bound=Callable[..., Any])

_OBEYED = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters after those of ASCII, and those that reverse the direction of text."""


MOST_SHARES = 1024
"""Largest number of threads of a worker, and of workers on a device."""


class CountOrAuto(click.ParamType):  # type: ignore[type-arg]
    """A number of workers from 1, or `auto`."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Count:
        """Return the number, or the word; fail with the legal values."""
        if value == AUTO:
            return AUTO
        text, most = str(value), WORKERS.high or sys.maxsize
        if not text.isdecimal() or len(text) > len(str(most)) or not WORKERS.low <= int(text) <= most:
            self.fail(f"{brief(value)} is neither a number from {WORKERS.low} to {most:,} nor auto", param, ctx)
        return int(value)


class UserPath(click.Path):
    """A path; a leading `~` is the home folder, which a shell does not put there in `--option=~/FOLDER`."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(expanded(value), param, ctx)


study_argument = click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
optional_study_argument = click.argument(
    "study_name", metavar="[STUDY]", required=False, shell_complete=complete_studies
)
trial_argument = click.argument("number", metavar="TRIAL", type=click.IntRange(min=0))
datasets_argument = click.argument("datasets", nargs=-1, metavar="[DATASET]...", shell_complete=complete_datasets)

storage_option = click.option(
    "--storage",
    metavar="URL",
    help="Database of the study: an SQLAlchemy URL, @FILE containing it (mode 0600), or - for standard input.  "
    "[default: $HPO_STORAGE, else sqlite:///hpo.sqlite3]",
)
data_dir_option = click.option(
    "--data-dir", metavar="DIR", help="Folder of the MedMNIST files.  [default: $HPO_DATA_DIR, else ~/.medmnist]"
)
checkpoint_dir_option = click.option(
    "--checkpoint-dir",
    metavar="DIR",
    help="Folder of running trials' checkpoints, on a path that all hosts share; none: no checkpoints.  "
    "[default: $HPO_CHECKPOINT_DIR, else hpo-checkpoints]",
)
log_dir_option = click.option(
    "--log-dir",
    metavar="DIR",
    type=UserPath(),
    default="hpo-logs",
    show_default=True,
    help="Folder of the workers' logs.",
)
device_option = click.option("--device", metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:N.")
reporter_option = click.option(
    "--reporter",
    metavar="NAME[=TARGET]",
    multiple=True,
    shell_complete=complete_reporters,
    help="Tell a reporter, perhaps of a plug-in, of every trial and epoch; may be repeated.",
)
tensorboard_option = click.option(
    "--tensorboard", metavar="DIR", help="Write event files for TensorBoard into DIR/STUDY, on a path that hosts share."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_settings,
    help="Override one entry of the study file.",
)
trial_option = click.option(
    "--trial", metavar="N", type=click.IntRange(min=0), help="Use this trial as the winner, without a confirmation."
)
confirmation_option = click.option(
    "--confirmation", metavar="STUDY", help="Name of the confirmation.  [default: STUDY-confirm]"
)
results_option = click.option(
    "--results",
    metavar="DIR",
    type=UserPath(),
    help="Folder of the final result.  [default: hpo-results/STUDY]",
)
backup_argument = click.argument("file", type=UserPath(dir_okay=False))


def reporter_texts(reporters: tuple[str, ...], tensorboard: str | None) -> tuple[str, ...]:
    """Return the reporters of `--reporter` and `--tensorboard`, as `--reporter` takes them."""
    # Absolute, since workers and jobs may start in another folder than this process.
    return (*reporters, *([f"tensorboard={expanded(tensorboard).absolute()}"] if tensorboard is not None else []))


def print_json(value: Any) -> None:
    """Print a dataclass, or a list of them, as one JSON document; a number that is not finite becomes null."""
    in_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(plain(value), indent=2, ensure_ascii=not in_unicode)
    # json escapes the control characters of ASCII only; a terminal obeys those from U+0080 on, too.
    print(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def plain(value: Any) -> Any:
    """Convert dataclasses and tuples to dicts and lists, and numbers that are not finite to None, for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {
            each.metadata.get(JSON_KEY, each.name): getattr(value, each.name) for each in dataclasses.fields(value)
        }
        return plain(shown)
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
