"""Every command that docs/cluster.md shows is one that hpo takes: command, arguments and options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from hpo.cli.main import cli

GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"
TEXT = GUIDE.read_text()
COMPOSE_RUN = re.compile(r"docker compose run --rm hpo (.+)$")


def shell_lines() -> list[str]:
    """Lines of the blocks of code, a line that ends with a backslash joined to the next."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def hpo_commands() -> list[list[str]]:
    """What follows `hpo` in each line, and in each line handed to srun, sbatch --wrap or docker compose run."""
    found = []
    for line in shell_lines():
        if within := COMPOSE_RUN.search(line):
            found.append(shlex.split(within[1], comments=True))
            continue
        if wrapped := re.search(r'--wrap "(.+)"', line):
            line = wrapped[1]
        words = shlex.split(line, comments=True)
        if words and (words[0] == "hpo" or (words[0] == "srun" and "hpo" in words)):
            found.append(words[words.index("hpo") + 1 :])
    return found


def spoken_commands() -> list[list[str]]:
    """Commands within sentences: `hpo db backup FILE`."""
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(words) for words in re.findall(r"`hpo ([a-z][^`]*)`", prose)]


def command_of(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command that the words name, and what is left of them."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"hpo has no command {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    return command, context, words


@pytest.mark.parametrize("words", hpo_commands(), ids=" ".join)
def test_a_command_of_the_guide_is_one_that_hpo_takes(words: list[str]) -> None:
    command, context, rest = command_of(words)
    assert not isinstance(command, click.Group), f"hpo {' '.join(words)} is no whole command"
    command.parse_args(context, list(rest))


@pytest.mark.parametrize("words", spoken_commands(), ids=" ".join)
def test_a_command_within_a_sentence_exists_with_its_options(words: list[str]) -> None:
    command, _, rest = command_of(words)
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert [word for word in rest if word.startswith("--") and word not in options] == []


def test_every_option_that_the_guide_names_is_one_of_some_command() -> None:
    def options(command: click.Command) -> set[str]:
        own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        below = command.commands.values() if isinstance(command, click.Group) else ()
        return own.union(*(options(other) for other in below))

    named = {word for code in re.findall(r"`(--[a-z-]+)[^`]*`", TEXT) for word in [code]}
    assert named
    assert named - options(cli) == set()


def test_the_guide_goes_the_whole_way() -> None:
    shown = [" ".join(words[:2]) for words in hpo_commands()]
    way = [
        "data fetch",
        "db serve",
        "db init",
        "launch --dataset",
        "status adrenal3d",
        "stop adrenal3d",
        "best adrenal3d",
    ]
    places = [shown.index(step) for step in way]
    assert places == sorted(places)


def test_every_exit_code_is_in_the_guide() -> None:
    from hpo import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HpoError)]
    listed = set(map(int, re.findall(r"(?:Exit codes: |; )(\d+) [a-z]", TEXT.replace("\n", " "))))
    assert {kind.exit_code for kind in kinds} | {0, 1, 130} == listed
