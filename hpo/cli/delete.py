"""Implement `hpo delete`: delete a study from the database."""

from __future__ import annotations

import sys

import click

from hpo.cli.common import json_option, print_json, storage_option, study_argument
from hpo.cli.looking import look_into_database
from hpo.cli.streams import say, show
from hpo.errors import UsageError
from hpo.search.admin.studies import Deletion, delete_study, read_deletion
from hpo.text import counted


@click.command()
@study_argument
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@click.option("--force", is_flag=True, help="Delete although workers hold trials of it; they end with exit code 6.")
@storage_option
@json_option
def delete(study_name: str, yes: bool, force: bool, storage: str | None, as_json: bool) -> int:
    """Delete STUDY, with what was made from it.

    Its trials and reports are lost. Files stay: checkpoints, final results, exported networks. The test-set access log
    stays, too.
    """
    database = look_into_database(storage)
    announced = None if yes else read_deletion(database, study_name)
    if announced is not None and not _is_confirmed(announced):
        say("nothing was deleted")
        return 130
    deletion = delete_study(database, study_name, force=force, announced=announced)
    if as_json:
        print_json(deletion)
    else:
        show(f"deleted: {_counted(deletion)}")
    return 0


def _is_confirmed(deletion: Deletion) -> bool:
    say(f"this deletes {_counted(deletion)}")
    workers = [worker for study in deletion.studies for worker in study.workers]
    if workers:
        say(f"workers hold trials of it: {', '.join(workers)}")
    if deletion.accesses:
        say(f"the test-set access log keeps its {deletion.accesses} {'entry' if deletion.accesses == 1 else 'entries'}")
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask; give --yes to delete without asking")
    return click.confirm("delete?", default=False, err=True)


def _counted(deletion: Deletion) -> str:
    return "; ".join(
        f"study {one.name} ({counted(one.trials, 'trial')}, {counted(one.reports, 'report')})"
        for one in deletion.studies
    )
