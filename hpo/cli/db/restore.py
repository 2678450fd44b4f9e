"""Implement `hpo db restore`: write a backup into an empty database."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import backup_argument, storage_option
from hpo.cli.render.progress import table_bars
from hpo.cli.streams import show
from hpo.search.admin.backup import require_backup
from hpo.search.admin.backup import restore as read_backup
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database


@click.command()
@backup_argument
@storage_option
def restore(file: Path, storage: str | None) -> None:
    """Write a backup FILE into an empty database of any kind."""
    require_backup(file)
    database = open_database(resolve_address(storage), create=True)
    with table_bars() as copied:
        rows = read_backup(file, database, copied)
    show(f"{database.address}: {rows} rows of {file}")
