"""Commands are imported when they are called; the tables that stand for them until then say the same as they do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hpo.cli.common import UserPath
from hpo.cli.lazy import Lazy, LazyGroup
from hpo.cli.main import cli

SLOW = {"torch", "libauc", "optuna", "matplotlib", "sklearn", "plotly", "medmnist"}
"""Packages that take a second or more to load: help, completion and a wrong command line do without."""

ONE_LINE = 64
"""Characters of a short help that fit beside the names, on a terminal of 80 columns."""


def groups(group: LazyGroup) -> Iterator[LazyGroup]:
    """A group and all below it."""
    yield group
    for command in group.commands.values():
        if isinstance(command, LazyGroup):
            yield from groups(command)


def entries() -> list[tuple[str, Lazy]]:
    """Every command by its name, groups included."""
    return [entry for group in groups(cli) for entry in group.table.items()]


@pytest.mark.parametrize(("name", "entry"), entries(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_table_says_what_its_commands_say(name: str, entry: Lazy) -> None:
    command = entry.load()
    assert command.name == name
    assert entry.short_help == command.get_short_help_str(1000).rstrip(".")
    assert not command.hidden
    assert len(entry.short_help) <= ONE_LINE


def test_each_command_has_a_file_of_its_name() -> None:
    for group in groups(cli):
        for name, entry in group.table.items():
            module = entry.target.partition(":")[0]
            # A keyword of Python has an underscore behind it.
            assert module.rpartition(".")[2].removesuffix("_") == name


@pytest.mark.parametrize(("name", "entry"), entries(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_path_of_a_command_may_begin_with_the_home_folder(name: str, entry: Lazy) -> None:
    paths = [one for one in entry.load().params if isinstance(one.type, click.Path)]
    assert [one.name for one in paths if not isinstance(one.type, UserPath)] == [], name


def test_every_file_of_a_command_is_in_a_table() -> None:
    folder = Path(sys.modules["hpo.cli.main"].__file__ or "").parent
    modules = {entry.target.partition(":")[0] for _, entry in entries()}
    for path in folder.rglob("*.py"):
        module = ".".join(("hpo", "cli", *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        if any(line.startswith("@click.command") for line in path.read_text().splitlines()):
            assert module in modules


def test_help_of_a_group_has_a_line_for_each_command_under_its_section() -> None:
    text = cli.get_help(click.Context(cli, info_name="hpo", **cli.context_settings))
    lines = [line.split() for line in text[text.index("Options:") :].splitlines()]
    named = [words[0] for words in lines if words and words[0] in cli.table]
    assert named == list(cli.table)
    for entry in cli.table.values():
        assert f"\n{entry.section}:\n" in text


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    with pytest.raises(click.UsageError) as caught:
        cli.main(["lunch"], standalone_mode=False)
    assert "launch" in caught.value.format_message()


@pytest.mark.slow
def test_help_completion_and_a_wrong_option_import_the_command_without_slow_packages() -> None:
    code = "import sys\n" + "".join(f"import {entry.target.partition(':')[0]}\n" for _, entry in entries())
    run = subprocess.run(
        [sys.executable, "-c", code + "print(*{name.partition('.')[0] for name in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    assert "sqlalchemy" in loaded
    assert loaded & SLOW == set()
