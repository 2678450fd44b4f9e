"""`hpo db check`: whether this hpo can work on a database."""

from __future__ import annotations

import click

from hpo.cli.common import json_option, print_json, say, storage_option
from hpo.errors import StorageError
from hpo.search.admin.check import check_database
from hpo.search.database.address import resolve_address


@click.command()
@storage_option
@json_option
def check(storage: str | None, as_json: bool) -> int:
    """Show what the database is, and whether this hpo can work on it. Exit code 5 if it cannot."""
    found = check_database(resolve_address(storage))
    if as_json:
        print_json(found)
    else:
        for name, value in found.lines():
            print(f"{name:<12} {value}")
        for problem in found.problems:
            say(f"hpo: {problem}")
    return StorageError.exit_code if found.problems else 0
