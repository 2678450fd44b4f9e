"""Implement `hpo db backup`: write the whole database to one file."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import backup_argument, storage_option
from hpo.cli.render.progress import table_bars
from hpo.cli.streams import show
from hpo.search.admin.backup import backup as write_backup
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database


@click.command()
@backup_argument
@storage_option
def backup(file: Path, storage: str | None) -> None:
    """Write the whole database, as of one moment, to one FILE.

    The file is a SQLite database; `hpo db restore` and every other command can read it. Workers may keep running.
    """
    database = open_database(resolve_address(storage), create=False)
    with table_bars() as copied:
        rows = write_backup(database, file, copied)
    show(f"{file}: {rows} rows of {database.address}")
