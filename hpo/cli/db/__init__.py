"""Group the commands on the database of studies: `hpo db`."""

from __future__ import annotations

import click

from hpo.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "init": Lazy("hpo.cli.db.init:init", "Create the tables in an empty database"),
    "check": Lazy(
        "hpo.cli.db.check:check",
        "Show what `hpo doctor` finds about the database",
    ),
    "upgrade": Lazy("hpo.cli.db.upgrade:upgrade", "Upgrade hpo's and Optuna's tables to the versions installed here"),
    "backup": Lazy("hpo.cli.db.backup:backup", "Write the whole database, as of one moment, to one FILE"),
    "restore": Lazy("hpo.cli.db.restore:restore", "Write a backup FILE into an empty database of any kind"),
    "copy": Lazy("hpo.cli.db.copy:copy", "Copy STUDY with all its trials to another database"),
    "serve": Lazy("hpo.cli.db.serve:serve", "Serve a PostgreSQL from DIR, without any rights on this host"),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def db() -> None:
    """Create, maintain and serve the database of studies."""
