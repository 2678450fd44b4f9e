"""Group the commands that make a cluster known: `hpo cluster`."""

from __future__ import annotations

import click

from hpo.cli.lazy import Lazy, LazyGroup

_COMMANDS = {"init": Lazy("hpo.cli.cluster.init:init", "Ask Slurm about this cluster, and write a preset of your own")}


@click.group(cls=LazyGroup, table=_COMMANDS)
def cluster() -> None:
    """Make this cluster known to `hpo launch --on slurm`."""
