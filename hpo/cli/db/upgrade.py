"""Implement `hpo db upgrade`: migrate the tables to the installed versions."""

from __future__ import annotations

import click

from hpo.cli.common import storage_option
from hpo.cli.streams import show
from hpo.search.admin.migrations import upgrade as upgrade_tables
from hpo.search.database.address import resolve_address, shown


@click.command()
@storage_option
def upgrade(storage: str | None) -> None:
    """Upgrade hpo's and Optuna's tables to the versions installed here. Stop all workers first."""
    url = resolve_address(storage)
    done = upgrade_tables(url)
    changes = [f"hpo's tables from version {done.before} to {done.after}"] if done.before != done.after else []
    changes += ["Optuna's tables"] if done.optuna else []
    show(f"{shown(url)}: upgraded {' and '.join(changes)}" if changes else f"{shown(url)} is up to date")
