"""Implement `hpo report`: write the report of a study, or of all datasets."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, confirmation_option, optional_study_argument, results_option, storage_option
from hpo.cli.csv_file import STDOUT, csv_option, write_csv
from hpo.cli.looking import look_at_study
from hpo.cli.next_steps import after_result
from hpo.cli.streams import say, show
from hpo.errors import UsageError


@click.command()
@optional_study_argument
@click.option("--all", "of_all", is_flag=True, help="One page over all datasets that have a final result.")
@click.option("--out", metavar="DIR", type=UserPath(), help="Output folder.  [default: that of the results]")
@click.option(
    "--latex",
    metavar="FILE.tex",
    type=UserPath(),
    help="Write the final result as a LaTeX table too, with intervals, baselines and published values.",
)
@csv_option
@confirmation_option
@results_option
@storage_option
def report(
    study_name: str | None,
    of_all: bool,
    out: Path | None,
    latex: Path | None,
    csv_file: str | None,
    confirmation: str | None,
    results: Path | None,
    storage: str | None,
) -> None:
    """Write the report of STUDY: one HTML page, and Markdown.

    It can be written at any time, and covers what exists so far. With --all: one page over datasets, from the final
    results in the folders below --results, by default hpo-results. With --csv also the final result as a table, a row
    for each configuration.
    """
    if of_all and study_name is not None:
        raise UsageError("give a STUDY, or --all for one page over all datasets, one of the two")

    for option, given in (("--latex", latex), ("--csv", csv_file)):
        if of_all and given is not None:
            raise UsageError(f"{option} is the table of one study; give a STUDY in the place of --all")

    # Imported late: Matplotlib takes a second, which --help and completion need not wait for.
    from hpo.outcome.final import results_folder as results_of
    from hpo.outcome.judgement import judge_final
    from hpo.outcome.report.writing import final_of, report_all, write_latex
    from hpo.outcome.report.writing import report as report_study
    from hpo.outcome.result_table import RESULT_COLUMNS, result_rows

    if of_all:
        paths = report_all(results=results, out=out)
    else:
        study = look_at_study(study_name, storage)
        # The tables first: without a final result nothing is written.
        if csv_file is not None:
            final = final_of(study, results)
            write_csv(csv_file, result_rows(final, judge_final(final)), RESULT_COLUMNS)
        table = () if latex is None else (write_latex(study, latex, results=results),)
        paths = (*report_study(study, results=results, out=out, confirmation=confirmation), *table)
    for path in paths:
        # On standard output a table is alone.
        (say if csv_file == STDOUT else show)(str(path))
    if not of_all and (step := after_result(study.name, results_of(study.name, results, study.former_names), results)):
        say(step)
