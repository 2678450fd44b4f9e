"""Implement `hpo slurm presets`: list the known clusters."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from rich.table import Table

from hpo.cli.common import json_option, print_json
from hpo.cli.render.page import page
from hpo.launch.backends.slurm.own_presets import all_presets
from hpo.launch.backends.slurm.presets import Preset
from hpo.launch.backends.slurm.units import write_time


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List the clusters that hpo knows, and their limits.

    Those of your own are files in hpo-presets in this folder, and in ~/.config/hpo/presets.
    """
    if as_json:
        print_json({name: _as_json(preset) for name, preset in all_presets().items()})
        return
    table = Table("preset", "cluster", "node", "partition", "GPUs of a node", "longest", "modules")
    for preset in all_presets().values():
        node = (f"{preset.cores} cores" if preset.cores else "-") + (
            f", {preset.memory_gb} GB" if preset.memory_gb else ""
        )
        for number, (name, partition) in enumerate(preset.partitions.items()):
            gpus = ", ".join(kind + (f" (<= {most})" if most else "") for kind, most in partition.gpus.items()) or "-"
            longest = "-" if partition.seconds is None else write_time(partition.seconds)
            first = (preset.name, preset.title, node) if number == 0 else ("", "", "")
            modules = " ".join(preset.modules) if number == 0 else ""
            table.add_row(*first, name, gpus, longest, modules)
        if not preset.partitions:
            table.add_row(preset.name, preset.title, "-", "-", "-", "-", "-")
    page().print(table)


def _as_json(preset: Preset) -> dict[str, Any]:
    fields = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)}
    partitions = {
        name: {"seconds": partition.seconds, "gpus": dict(partition.gpus)}
        for name, partition in preset.partitions.items()
    }
    return fields | {"partitions": partitions}
