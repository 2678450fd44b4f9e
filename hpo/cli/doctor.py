"""`hpo doctor`: is everything here that a study needs."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import (
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    storage_option,
)

if TYPE_CHECKING:
    from hpo.launch.doctor.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@click.command()
@click.option(
    "--study",
    "study_name",
    metavar="STUDY",
    shell_complete=complete_studies,
    help="Look at this study too: it, and its data, must be there.",
)
@click.option("--log-dir", metavar="DIR", default="hpo-logs", show_default=True, help="Where workers write their logs.")
@checkpoint_dir_option
@storage_option
@data_dir_option
@device_option
@json_option
def doctor(
    study_name: str | None,
    log_dir: str,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Look at database, data, device, disk, clock, Slurm, proxy and packages, and say what to do.

    Changes nothing. The exit code is 0 if there is no fault, else that of the first one's kind.
    """
    from hpo.data.folder import data_folder
    from hpo.launch.doctor.examination import Patient, examine
    from hpo.launch.folders import checkpoint_folder

    patient = Patient(
        storage=storage,
        study=study_name,
        data_dir=data_folder(data_dir),
        device=device,
        log_dir=Path(log_dir),
        checkpoint_dir=checkpoint_folder(checkpoint_dir, study_name or ""),
    )
    findings = []
    for finding in examine(patient):
        findings.append(finding)
        if not as_json:
            _say(finding)
    if as_json:
        print_json(findings)
    else:
        counts = Counter(finding.verdict for finding in findings)
        print(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['fault']} faults", file=sys.stderr)
    return next((finding.exit_code for finding in findings if finding.verdict == "fault"), 0)


def _say(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.check:<9} {finding.text}")
    if finding.cure:
        click.echo(f"{'':18} {finding.cure}")
