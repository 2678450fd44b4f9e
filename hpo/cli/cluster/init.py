"""Implement `hpo cluster init`: write a preset for this cluster."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

import click

from hpo.cli.streams import say, show
from hpo.errors import OutputError, UsageError
from hpo.files import atomic_write
from hpo.launch.backends.slurm.own_presets import HERE, NAME_FORM, own_folder
from hpo.launch.backends.slurm.presets import GENERIC
from hpo.launch.backends.slurm.script import slug
from hpo.launch.backends.slurm.survey import render_preset, survey


@click.command()
@click.option("--name", metavar="NAME", help="Name of the preset.  [default: the cluster's]")
@click.option("--here", is_flag=True, help=f"Write to {HERE} in this folder, for a project, not for all of yours.")
@click.option("--force", is_flag=True, help="Replace the preset if it exists.")
def init(name: str | None, here: bool, force: bool) -> None:
    """Ask Slurm about this cluster, and write a preset of your own.

    It has the partitions with their GPUs and limits, as `hpo launch --on slurm --preset NAME` checks them, and is found
    by `hpo slurm presets`. Nothing is submitted.
    """
    if name is not None and (name == GENERIC or not re.fullmatch(NAME_FORM, name)):
        raise UsageError(f"--name {name!r}: give letters, digits, dot, dash or underscore, and not {GENERIC}")
    found = survey(getpass.getuser())
    name = name or slug(found.cluster)
    path = (Path.cwd() / HERE if here else own_folder()) / f"{name}.toml"
    if path.exists() and not force:
        raise OutputError(f"{path} exists; give --name with another name, or --force to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(render_preset(found, name), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    gpus = [name for name, partition in found.partitions.items() if partition.gpus]
    say(f"cluster {found.cluster}: {len(found.partitions)} partitions, {len(gpus)} of them with GPUs; see {path}")
    say(f"next: hpo launch DATASET --on slurm --preset {name} --test-only")
    show(path)
