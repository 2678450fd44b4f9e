"""Implement `hpo best`: rank a study's complete trials."""

from __future__ import annotations

import click

from hpo.cli.common import json_option, optional_study_argument, print_json, storage_option
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.looking import look_at_study
from hpo.cli.next_steps import going_on
from hpo.cli.render.page import page
from hpo.cli.render.trials import ranked_table
from hpo.cli.streams import say
from hpo.search.queries.status import read_status
from hpo.search.queries.tables import ranked_columns, ranked_rows
from hpo.search.queries.trials import read_best
from hpo.text import shell

_COUNTED = "hpo best STUDY --count N"


@click.command()
@optional_study_argument
@click.option("--count", metavar="N", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@storage_option
@json_option
@csv_option
def best(study_name: str | None, count: int, storage: str | None, as_json: bool, csv_file: str | None) -> None:
    """Rank the complete trials of STUDY by validation AUC. Baselines are marked.

    Where the scores of its trials are kept, also says what the best is worth: corrected for having been selected.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    if csv_file is not None:
        study = look_at_study(study_name, storage, number_in=_COUNTED)
        write_csv(csv_file, ranked_rows(study, read_best(study, count)), ranked_columns(study))
        return

    # Imported late: scipy takes a while, which --help and completion need not wait for.
    from hpo.outcome.selection import with_correction

    study = look_at_study(study_name, storage, number_in=_COUNTED)
    ranking = with_correction(study, read_best(study, count))
    if as_json:
        print_json(ranking)
    else:
        page().print(ranked_table(study.name, ranking))
        if not ranking.trials and not ranking.note:
            say(going_on(read_status(study)) or f"next: hpo status {shell(study.name)} --watch")
