"""Implement `hpo slurm script`: print the batch script of a study's workers."""

from __future__ import annotations

import click

from hpo.cli.common import study_argument
from hpo.cli.work import Work, job_options, prepare_job, print_script


@click.command()
@study_argument
@job_options
def script(study_name: str, work: Work) -> None:
    """Print the batch script of workers for STUDY. Nothing is submitted or stored."""
    print_script(prepare_job(study_name, work))
