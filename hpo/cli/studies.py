"""Implement `hpo studies`: list the studies of a database."""

from __future__ import annotations

import dataclasses

import click
from rich.table import Table

from hpo.cli.common import json_option, print_json, storage_option
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.looking import look_into_database
from hpo.cli.render.page import page, whole
from hpo.cli.streams import say
from hpo.search.queries.overview import Overview, StudyOverview, read_overview
from hpo.text import auc, shell, timestamp

_STYLES = {"running": "cyan", "done": "green"}


@click.command()
@storage_option
@json_option
@csv_option
def studies(storage: str | None, as_json: bool, csv_file: str | None) -> None:
    """List the studies of the database, with their states."""
    check_formats(as_json=as_json, csv_file=csv_file)
    database = look_into_database(storage)
    overview = read_overview(database)
    rows = [dataclasses.asdict(study) | {"state": study.state} for study in overview.studies]
    for name, fault in overview.damaged.items():
        say(
            f"study {name} cannot be read: {fault[:300]}; without a backup for `hpo db restore`, "
            f"`hpo delete {shell(name)}` removes it"
        )
    if csv_file is not None:
        columns = [*(field.name for field in dataclasses.fields(StudyOverview)), "state"]
        write_csv(csv_file, rows, columns, times=("created_at",))
        return
    if as_json:
        print_json(rows)
        return
    if rows:
        page().print(_table(overview, database.address))
    elif not overview.damaged:
        say(f"{database.address} holds no study yet; `hpo launch` creates one")
    if overview.others:
        say(f"studies in Optuna's tables that hpo did not create: {', '.join(overview.others)}")


def _table(overview: Overview, address: str) -> Table:
    columns = ("state", "trials", "running", "best AUC", "created")
    table = Table(whole("study"), whole("data set"), *columns, title=address)
    for study in overview.studies:
        table.add_row(*_cells(study), style=_STYLES.get(study.state))
    return table


def _cells(study: StudyOverview) -> tuple[str, ...]:
    return (
        study.name,
        study.dataset + (f" (from {study.search})" if study.search else ""),
        study.state,
        f"{study.finished} of {study.trials}",
        str(study.running or ""),
        auc(study.best_auc),
        timestamp(study.created_at),
    )
