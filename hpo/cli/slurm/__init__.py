"""Group the commands that show what `hpo launch --on slurm` would submit, and where: `hpo slurm`."""

from __future__ import annotations

import click

from hpo.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "script": Lazy("hpo.cli.slurm.script:script", "Print the batch script of workers for STUDY"),
    "measure": Lazy("hpo.cli.slurm.measure:measure", "Measure how many workers per GPU are fastest for STUDY"),
    "presets": Lazy("hpo.cli.slurm.presets:presets", "List the clusters that hpo knows, and their limits"),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def slurm() -> None:
    """Show what `hpo launch --on slurm` would submit, and where."""
