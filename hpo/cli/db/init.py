"""Implement `hpo db init`: create the tables in an empty database."""

from __future__ import annotations

import click

from hpo.cli.common import storage_option
from hpo.cli.streams import show
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database


@click.command()
@click.option("--beside-others", is_flag=True, help="Also in a database that has tables of another program.")
@storage_option
def init(storage: str | None, beside_others: bool) -> None:
    """Create the tables in an empty database. Does nothing if they exist."""
    database = open_database(resolve_address(storage), create=True, beside_others=beside_others)
    show(f"{database.address} is ready")
    database.close()
