"""Import the module of a command only when the command is called.

Follows https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands. Help and completion take names
and short helps from a table, so that they import no command either.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

_MEANT = {
    **dict.fromkeys(("list", "ls", "show"), "studies"),
    **dict.fromkeys(("run", "start", "train", "search", "resume", "continue"), "launch"),
    **dict.fromkeys(("kill", "cancel", "quit"), "stop"),
    **dict.fromkeys(("fetch", "download"), "data fetch"),
    **dict.fromkeys(("rm", "remove"), "delete"),
    **dict.fromkeys(("logs", "watch", "progress"), "status"),
    **dict.fromkeys(("test", "evaluate"), "finalize"),
}
"""Commands that people try, with those of hpo that do it."""


@dataclass(frozen=True)
class Lazy:
    """A command that is not imported yet.

    Attributes:
        target: `module:attribute`.
        short_help: the first sentence of its help, without the period.
        section: its heading in the group's help.
    """

    target: str
    short_help: str
    section: str = "Commands"

    def load(self) -> click.Command:
        """Import the command."""
        command = pkgutil.resolve_name(self.target)
        assert isinstance(command, click.Command), self.target
        return command


class LazyGroup(click.Group):
    """A group with a table of commands, shown in the order of the table."""

    def __init__(self, name: str | None = None, *, table: Mapping[str, Lazy], **options: Any) -> None:
        super().__init__(name, commands=_LazyCommands(table), **options)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order of the table."""
        return list(self.table)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write names and short helps by section, as click does for imported commands."""
        width = max(map(len, self.table))
        for section in dict.fromkeys(entry.section for entry in self.table.values()):
            rows = [
                (name.ljust(width), entry.short_help) for name, entry in self.table.items() if entry.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names; fail with the one that was meant."""
        if args[0] not in self.table and not args[0].startswith("-"):
            meant = _MEANT.get(args[0]) if ctx.parent is None else None
            known = list(self.table)
            near = meant or next(iter(get_close_matches(args[0], known, n=1, cutoff=0.6)), None)
            hint = f"; did you mean `{ctx.command_path} {near}`?" if near else f"; commands: {', '.join(known)}"
            ctx.fail(f"No such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names; complete options as for any command."""
        found = [
            CompletionItem(name, help=entry.short_help)
            for name, entry in self.table.items()
            if name.startswith(incomplete)
        ]
        # click.Group's own method would import every command for its help.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


class _LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name, each imported on lookup."""

    def __init__(self, table: Mapping[str, Lazy]) -> None:
        self._table = dict(table)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            self._loaded[name] = self._table[name].load()
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        self._loaded.pop(name, None)
        del self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)
