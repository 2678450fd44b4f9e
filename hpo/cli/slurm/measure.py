"""Implement `hpo slurm measure`: print the fastest number of workers per device."""

from __future__ import annotations

import click

from hpo.cli.common import data_dir_option, device_option, storage_option, study_argument
from hpo.cli.looking import look_at_study
from hpo.cli.streams import show
from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.launch.probe import Probe
from hpo.launch.sizing.measure import workers_per_device


@click.command()
@study_argument
@storage_option
@data_dir_option
@device_option
def measure(study_name: str, storage: str | None, data_dir: str | None, device: str) -> None:
    """Measure how many workers per GPU are fastest for STUDY. A job with auto calls this."""
    spec = look_at_study(study_name, storage).spec
    development = load_development(spec.data, data_folder(data_dir), spec.scoring.groups)
    with Probe() as probe:
        show(workers_per_device(spec, development, device, probe))
