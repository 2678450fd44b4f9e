"""`hpo export`: the networks of a final result as a folder that can be given away."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import results_option, study_argument
from hpo.outcome.export import export as write_export
from hpo.outcome.final import results_folder


@click.command()
@study_argument
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Where to.  [default: RESULTS/export]")
@results_option
def export(study_name: str, out: Path | None, results: Path | None) -> None:
    """Write the networks of STUDY's winner as a folder to give away.

    It holds weights, configuration, a model card and a check.
    """
    folder = results_folder(study_name, results)
    for path in write_export(folder, out or folder / "export"):
        print(path)
