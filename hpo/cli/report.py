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
@click.option(
    "--latex",
    metavar="FILE.tex",
    type=click.Path(path_type=Path),
    help="Write the final result as a LaTeX table too, with intervals, baselines and published values.",
)
@confirmation_option
@results_option
@storage_option
def report(
    study_name: str | None,
    of_all: bool,
    out: Path | None,
    latex: Path | None,
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

    if latex is not None and study_name is None:
        raise UsageError("--latex is the table of one study; give a STUDY with it")

    # Imported late: Matplotlib takes a second, which --help and completion need not wait for.
    from hpo.outcome.report.writing import report as report_study
    from hpo.outcome.report.writing import report_all, write_latex

    if of_all:
        paths = report_all(results=results, out=out)
    else:
        study = look_at_study(study_name, storage)
        # The table first: without a final result nothing is written.
        table = () if latex is None else (write_latex(study, latex, results=results),)
        paths = (*report_study(study, results=results, out=out, confirmation=confirmation), *table)
    for path in paths:
        show(path)
