"""Implement `hpo confirm`: retrain the best configurations of a search, and name the winner."""

from __future__ import annotations

from functools import partial

import click

from hpo.cli.common import json_option, print_json, study_argument
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.render.leaderboard import leaderboard_table
from hpo.cli.render.page import page
from hpo.cli.streams import say, show
from hpo.cli.work import Work, exit_code, start, work_options
from hpo.launch.notify import Event, Notifier
from hpo.outcome.confirmation import confirm as confirm_search
from hpo.outcome.families import answer_sentences
from hpo.outcome.leaderboard import LEADERBOARD_COLUMNS, Confirmation, leaderboard_rows
from hpo.search.study import open_named_study
from hpo.study.ranges import PER_FAMILY, REPEATS, TOP
from hpo.text import shell


@click.command()
@study_argument
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(*TOP),
    help="Configurations besides the baselines.  [default: the file's]",
)
@click.option(
    "--per-family",
    metavar="N",
    type=click.IntRange(*PER_FAMILY),
    help="Best configurations of each loss family among these, or besides.  [default: the file's]",
)
@click.option("--seeds", metavar="N", type=click.IntRange(*REPEATS), help="Repeats of each.  [default: the file's]")
@click.option("--no-racing", is_flag=True, help="Train every repeat, even of clearly worse candidates.")
@click.option("--name", metavar="STUDY", help="Name of the confirmation.  [default: STUDY-confirm]")
@work_options
@json_option
@csv_option
def confirm(
    study_name: str,
    top: int | None,
    per_family: int | None,
    seeds: int | None,
    no_racing: bool,
    name: str | None,
    work: Work,
    as_json: bool,
    csv_file: str | None,
) -> int:
    """Retrain the best configurations of STUDY, and name the winner.

    The best of each loss family are among them, so that tuned AUCM is compared with tuned cross-entropy. The baselines
    are retrained too. All are trained equally long, with new seeds, new folds, no pruning, and paired comparisons. It
    is a study of its own, which any worker can join. Ctrl-C stops cleanly; the same command resumes, and prints the
    result once all is done. A larger --seeds adds repeats.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    found = confirm_search(
        open_named_study(study_name, work["storage"]),
        train=partial(start, work=work),
        name=name,
        top=top,
        seeds=seeds,
        racing=not no_racing,
        per_family=per_family,
    )
    _tell_of_winner(found, work["notifier"])
    if csv_file is not None:
        write_csv(csv_file, leaderboard_rows(found), LEADERBOARD_COLUMNS)
    elif as_json:
        print_json(found)
    elif found.whole:
        page().print(leaderboard_table(found))
        if found.done:
            show(answer_sentences(None, found.families))
            which = f" --confirmation {shell(name)}" if name else ""
            # Without a winner it would be refused.
            step = f"hpo finalize {shell(study_name)}{which}" if found.winner else f"hpo trials {shell(found.name)}"
            say(f"next: {step}")
    return exit_code(work, is_done=found.done)


def _tell_of_winner(found: Confirmation, notifier: Notifier) -> None:
    """Tell whom `--notify` names of a winner that is none of the baselines."""
    row = next((row for row in found.leaderboard if found.winner is not None and row.candidate == found.winner), None)
    if row is None or row.is_reference or row.mean is None:
        return
    between = "" if row.low is None or row.high is None else f" ({row.low:.3f} to {row.high:.3f})"
    result = f"{row.candidate}, validation AUC {row.mean:.3f}{between}"
    notifier.tell(
        found.search,
        Event.BEST,
        f"study {found.search} has a new best after {found.name}: {result}",
        confirmation=found.name,
        candidate=row.candidate,
        trial=row.trial,
        auc=row.mean,
        low=row.low,
        high=row.high,
    )
