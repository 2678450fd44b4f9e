"""Implement `hpo help`: the help of a command, by those who do not type --help."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of hpo, or of a COMMAND."""
    parent = context.parent
    assert parent is not None
    command, made = parent.command, parent
    for word in words:
        if not isinstance(command, click.Group):
            break
        name, found, _ = command.resolve_command(made, [word])
        assert found is not None
        command, made = found, click.Context(found, info_name=name, parent=made)
    click.echo(command.get_help(made))
