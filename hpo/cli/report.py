"""Implement `hpo report`: write the report of a study, or of all datasets."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import confirmation_option, optional_study_argument, results_option, storage_option
from hpo.cli.looking import look_at_study
from hpo.cli.streams import show
from hpo.errors import UsageError


@click.command()
@optional_study_argument
@click.option("--all", "of_all", is_flag=True, help="One page over all datasets that have a final result.")
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="Output folder.  [default: that of the results]"
)
@confirmation_option
@results_option
@storage_option
def report(
    study_name: str | None,
    of_all: bool,
    out: Path | None,
    confirmation: str | None,
    results: Path | None,
    storage: str | None,
) -> None:
    """Write the report of STUDY: one HTML page, and Markdown.

    It can be written at any time, and covers what exists so far. With --all: one page over datasets, from the final
    results in the folders below --results, by default hpo-results.
    """
    if of_all and study_name is not None:
        raise UsageError("give a STUDY, or --all for one page over all datasets, one of the two")

    # Imported late: Matplotlib takes a second, which --help and completion need not wait for.
    from hpo.outcome.report.writing import report as report_study
    from hpo.outcome.report.writing import report_all

    if of_all:
        paths = report_all(results=results, out=out)
    else:
        study = look_at_study(study_name, storage)
        paths = report_study(study, results=results, out=out, confirmation=confirmation)
    for path in paths:
        show(path)
