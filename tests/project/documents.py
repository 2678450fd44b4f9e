"""Reads the documents: their code blocks, links, headings, and the `hpo` command lines in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from hpo.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_WITHIN = (
    re.compile(r"docker compose run --rm (hpo .+)$"),
    re.compile(r'--wrap "(?:srun )?(hpo .+)"'),
    re.compile(r"\$\((hpo [^)]+)\)"),
    re.compile(r"^(?:\$ |!)?(?:srun .*?)?(?<![-\w/])(hpo .+)$"),
)
_BENCHMARK = re.compile(r"python3? (?:-m )?(benchmarks[./]\w+)(?:\.py)?((?: +[^`|#]*)?)")


def name_of(page: Path) -> str:
    """Return the path of a page below the repository, as a test's id."""
    return str(page.relative_to(ROOT))


def code_blocks(text: str, language: str = "") -> list[str]:
    """Return the fenced blocks of a language; those without one if it is empty."""
    return [body for found, body in _FENCE.findall(text) if found == language]


def prose(text: str) -> str:
    """Return the text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Return the targets of links and pictures that lead to a file or a heading of this repository."""
    targets = _LINK.findall(_CODE.sub("", prose(text)))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(text))]
    return {heading.replace(" ", "-") for heading in plain}


def hpo_lines(text: str) -> list[list[str]]:
    """Return the words after `hpo` of each command line in a fenced block, also of lines handed to srun or sbatch."""
    lines = [line.strip() for block in code_blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := _hpo_words(line))]


def hpo_mentions(text: str) -> list[list[str]]:
    """Return the words after `hpo` of each command within a sentence: `hpo db backup FILE`."""
    codes = _CODE.findall(prose(text))
    return [shlex.split(code)[1:] for code in codes if re.match(r"hpo [a-z]", code)]


def benchmark_lines(text: str) -> list[tuple[Path, list[str]]]:
    """Return the file and the words after it of each call of a benchmark, in a fenced block or a sentence."""
    codes = [*code_blocks(text), *_CODE.findall(prose(text))]
    lines = [line for code in codes for line in code.replace("\\\n", " ").splitlines()]
    found = [match for line in lines if (match := _BENCHMARK.search(line))]
    return [(ROOT / f"{match[1].replace('.', '/')}.py", shlex.split(match[2])) for match in found]


def options_in(module: Path) -> set[str]:
    """Return the options that a benchmark spells, itself or in what it imports of the other ones."""
    text = module.read_text()
    below = [ROOT / f"{name.replace('.', '/')}.py" for name in re.findall(r"from (benchmarks[\w.]*) import", text)]
    own = set(re.findall(r'"(--[a-z-]+)"', text))
    if 'f"--{' in text:
        # Options made of names in the file.
        own |= {f"--{name.replace('_', '-')}" for name in re.findall(r'"([a-z_]+)"', text)}
    return own.union(*(options_in(other) for other in below if other.exists()))


def command_of(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """Return the command that the words name, a context for it, and the words that are left.

    Raises:
        click.UsageError: if there is no such command.
    """
    command: click.Command = cli
    context = click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"hpo has no command {words[0]}")
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    return command, context, words


def parse(words: list[str]) -> None:
    """Parse a command line without running it.

    Raises:
        click.UsageError: if there is no such command, or it does not take these arguments and options.
    """
    command, context, rest = command_of(words)
    if rest == ["--help"]:
        return
    if isinstance(command, click.Group):
        raise click.UsageError(f"hpo {' '.join(words)} is not a whole command")
    command.parse_args(context, list(rest))


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command and, if it is a group, of all commands below it."""
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options_of(below) for below in _below(command))) | {"--help"}


def _below(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        context = click.Context(command, **cli.context_settings)
        for name in command.list_commands(context):
            if (found := command.get_command(context, name)) is not None:
                yield found


def _hpo_words(line: str) -> list[str]:
    for pattern in _WITHIN:
        if found := pattern.search(line):
            return shlex.split(found[1], comments=True)[1:]
    return []
