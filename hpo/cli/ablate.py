"""Implement `hpo ablate`: retrain the winner with one setting at a time as in each baseline."""

from __future__ import annotations

from functools import partial

import click

from hpo.cli.common import confirmation_option, json_option, print_json, study_argument, trial_option
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.render.leaderboard import ablation_table
from hpo.cli.render.page import page
from hpo.cli.work import Work, exit_code, start, work_options
from hpo.outcome.confirmation import ablate as ablate_winner
from hpo.outcome.leaderboard import LEADERBOARD_COLUMNS, leaderboard_rows
from hpo.search.study import open_named_study
from hpo.study.ranges import REPEATS


@click.command()
@study_argument
@click.option(
    "--seeds", metavar="N", default=3, show_default=True, type=click.IntRange(*REPEATS), help="Repeats of each."
)
@trial_option
@confirmation_option
@work_options
@json_option
@csv_option
def ablate(
    study_name: str,
    seeds: int,
    trial: int | None,
    confirmation: str | None,
    work: Work,
    as_json: bool,
    csv_file: str | None,
) -> int:
    """Show the effect of each setting of STUDY's winner.

    The winner is retrained with one setting at a time as in each baseline. It runs like a confirmation, as the study
    STUDY-ablation, and is part of `hpo report STUDY`.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    found = ablate_winner(
        open_named_study(study_name, work["storage"]),
        train=partial(start, work=work),
        seeds=seeds,
        trial=trial,
        confirmation=confirmation,
    )
    if csv_file is not None:
        write_csv(csv_file, leaderboard_rows(found), LEADERBOARD_COLUMNS)
    elif as_json:
        print_json(found)
    elif found.whole:
        page().print(ablation_table(found))
    return exit_code(work, is_done=found.done)
