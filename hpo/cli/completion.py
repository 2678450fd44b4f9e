"""Implement `hpo completion`: print the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hpo.cli.streams import show

_HOW = {
    "bash": 'source <(hpo completion bash)   # in ~/.bashrc: eval "$(hpo completion bash)"',
    "zsh": 'source <(hpo completion zsh)    # in ~/.zshrc, after compinit: eval "$(hpo completion zsh)"',
    "fish": "hpo completion fish | source    # to stay: hpo completion fish > ~/.config/fish/completions/hpo.fish",
}


@click.command(epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(tuple(_HOW)))
def completion(shell: str) -> None:
    """Print the script that completes command lines in SHELL.

    It completes commands, options, datasets, studies and settings.
    """
    made = get_completion_class(shell)
    assert made is not None, shell
    context = click.get_current_context().find_root()
    show(made(context.command, {}, "hpo", "_HPO_COMPLETE").source())
