"""Implement `hpo db init`: create the tables in an empty database."""

from __future__ import annotations

import click

from hpo.cli.common import storage_option
from hpo.cli.streams import show
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database


@click.command()
@storage_option
def init(storage: str | None) -> None:
    """Create the tables in an empty database. Does nothing if they exist."""
    database = open_database(resolve_address(storage), create=True)
    show(f"{database.address} is ready")
    database.close()
