"""Implement `hpo doctor`: check everything that a study needs here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from hpo.cli.common import (
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    json_option,
    log_dir_option,
    print_json,
    storage_option,
)
from hpo.cli.completers import complete_studies
from hpo.cli.streams import note_output, say
from hpo.data.folder import data_folder
from hpo.launch.backends.local import checkpoint_folder
from hpo.launch.doctor.examination import CheckContext, examine
from hpo.launch.doctor.finding import Finding
from hpo.text import counted, visible

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@click.command()
@click.option(
    "--study",
    "study_name",
    metavar="STUDY",
    shell_complete=complete_studies,
    help="Check this study, too: it and its data must exist.",
)
@click.option("--all", "of_all", is_flag=True, help="Check the files of all datasets, also those that no study needs.")
@log_dir_option
@checkpoint_dir_option
@storage_option
@data_dir_option
@device_option
@json_option
def doctor(
    study_name: str | None,
    of_all: bool,
    log_dir: Path,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Check everything that a study needs here, and say what to do.

    Database, data, device, disk, clock, Slurm, proxy and packages. Changes nothing. The exit code is 0 without a
    fault, else that of the first fault's kind.
    """
    context = CheckContext(
        storage=storage,
        study=study_name,
        data_dir=data_folder(data_dir),
        device=device,
        log_dir=log_dir,
        all_data=of_all,
        checkpoint_dir=checkpoint_folder(checkpoint_dir, study_name or ""),
    )
    findings = []
    for finding in examine(context):
        findings.append(finding)
        if not as_json:
            print_finding(finding)
    if as_json:
        print_json(findings)
    else:
        counts = Counter(finding.verdict for finding in findings)
        verdicts = counted(counts["warning"], "warning"), counted(counts["fault"], "fault")
        say(f"{counts['ok']} ok, {', '.join(verdicts)}")
    return next((finding.exit_code for finding in findings if finding.verdict == "fault"), 0)


def print_finding(finding: Finding) -> None:
    """Print a finding and what to do about it."""
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLOURS[finding.verdict])
    note_output()
    click.echo(f"{verdict} {finding.check:<9} {visible(finding.text)}")
    if finding.cure:
        click.echo(f"{'':18} {visible(finding.cure)}")
