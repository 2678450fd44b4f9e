"""Implement `hpo dashboard`: serve optuna-dashboard on the studies of a database."""

from __future__ import annotations

import sys
import webbrowser

import click

from hpo.cli.common import optional_study_argument, storage_option
from hpo.cli.streams import show
from hpo.search.dashboard.server import serve_dashboard
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.retry import LOOKING_SECONDS
from hpo.search.study import open_study


@click.command()
@optional_study_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; on any but this machine's own, visitors need the address that is printed.",
)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 for any free port.")
@click.option("--read-only", is_flag=True, help="Refuse all changes to studies.")
@click.option(
    "--token",
    metavar="TEXT",
    envvar="HPO_DASHBOARD_TOKEN",
    default="",
    help="Secret that visitors need; by default a new one, and none on 127.0.0.1. Better in $HPO_DASHBOARD_TOKEN.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@storage_option
def dashboard(
    study_name: str | None, host: str, port: int, read_only: bool, token: str, no_browser: bool, storage: str | None
) -> None:
    """Serve optuna-dashboard to this machine, open on STUDY or on all. Ctrl-C stops it."""

    def ready(address: str) -> None:
        show(address)
        if not no_browser and sys.stdout.isatty():
            webbrowser.open(address)

    database = open_database(resolve_address(storage), create=False, outage=LOOKING_SECONDS)
    study = open_study(database, study_name) if study_name is not None else None

    # Imported late: Matplotlib takes a second, which --help, completion and wrong names need not wait for.
    from hpo.outcome.report.pictures import picture

    serve_dashboard(
        database, study, host=host, port=port, on_ready=ready, read_only=read_only, draw=picture, token=token
    )
