"""Implement `hpo rename`: give a study another name."""

from __future__ import annotations

import shlex

import click

from hpo.cli.common import storage_option, study_argument
from hpo.cli.looking import look_into_database
from hpo.cli.streams import say, show
from hpo.outcome.final import results_folder
from hpo.search.admin.studies import rename_study
from hpo.text import shell


@click.command()
@study_argument
@click.argument("new_name", metavar="NEW")
@storage_option
def rename(study_name: str, new_name: str, storage: str | None) -> None:
    """Rename STUDY to NEW, with what was made from it.

    Final results and checkpoints of the old name are still found. Workers must have ended (`hpo stop`).
    """
    renamed = rename_study(look_into_database(storage), study_name, new_name)
    if not renamed:
        say(f"study {study_name} has this name already")
    for old, new in renamed.items():
        show(f"renamed: {old} is {new}")
        folder = results_folder(old)
        if folder.exists():
            command = f"hpo export {shell(new)} --results {shlex.quote(str(folder))}"
            say(f"its final result stays in {folder}; without the database: {command}")
