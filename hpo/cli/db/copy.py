"""Implement `hpo db copy`: copy one study to another database."""

from __future__ import annotations

import click

from hpo.cli.common import storage_option, study_argument
from hpo.cli.render.progress import table_bars
from hpo.cli.streams import say, show
from hpo.search.admin.copy import copy_study, missing_search
from hpo.search.creation import check_name
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.study import open_named_study, open_study
from hpo.text import counted, shell


@click.command()
@study_argument
@click.option("--to", "target", metavar="URL", required=True, help="Database to copy to: an address, or @FILE.")
@click.option("--name", metavar="NAME", help="Name of the copy.  [default: STUDY]")
@storage_option
def copy(study_name: str, target: str, name: str | None, storage: str | None) -> None:
    """Copy STUDY with all its trials to another database.

    It can continue there; its running trials are released in the copy. A confirmation, ablation or study of methods
    belongs to the copy of its search.
    """
    check_name(name or study_name)
    study = open_named_study(study_name, storage)
    there = open_database(resolve_address(target), create=True)
    with table_bars() as copied:
        trials = copy_study(study, there, name or study_name, copied)
    show(f"{there.address}: study {name or study_name} with {counted(trials, 'trial')}")
    if study.spec.plan is not None and (search := missing_search(open_study(there, name or study_name))):
        command = f"hpo db copy {shell(study.spec.plan.search)}"
        command += "" if search == study.spec.plan.search else f" --name {shell(search)}"
        say(f"it belongs to the search {search}, which is not there; `{command}`, with the same --to, copies it")
