"""Implement `hpo db serve`: run a PostgreSQL server on a folder."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from hpo.cli.common import UserPath
from hpo.cli.streams import show
from hpo.errors import StorageError, UsageError
from hpo.launch.server.cluster import Cluster
from hpo.launch.server.serve import READY, serve_in_background, stop_server
from hpo.launch.server.serve import serve as serve_folder

DEFAULT_FOLDER = Path("hpo-database")


@click.command()
@click.argument("folder", metavar="[DIR]", default=DEFAULT_FOLDER, type=UserPath(file_okay=False))
@click.option(
    "--listen",
    metavar="ADDR",
    help="Address to listen on; 0.0.0.0 admits workers on other hosts, with the password.  [default: the last one, "
    "else 127.0.0.1]",
)
@click.option(
    "--port", metavar="N", type=click.IntRange(1024, 65535), help="[default: the last one if it is free, else any]"
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Serve a folder whose server on another host has not ended in order. Only if that host is surely gone.",
)
@click.option("--background", is_flag=True, help="Return once the server is ready, and leave it running.")
@click.option("--stop", "stopping", is_flag=True, help="Stop the server of DIR on this host.")
def serve(
    folder: Path, listen: str | None, port: int | None, take_over: bool, background: bool, stopping: bool
) -> None:
    """Serve a PostgreSQL from DIR, without any rights on this host.

    Runs until Ctrl-C. DIR is hpo-database by default. It is created at the first start, with a random password;
    DIR/address holds the address for `--storage @DIR/address`.
    """
    if stopping and background:
        raise UsageError("--stop and --background exclude each other")
    if stopping:
        if not stop_server(folder):
            raise StorageError(f"no server runs for {folder}")
        show(f"the server of {folder} has stopped")
    elif background:
        process = serve_in_background(folder, listen=listen, port=port, take_over=take_over)
        show((folder / "serve.log").read_text().strip())
        show(f"running in the background, PID {process}; `hpo db serve --stop {quote(str(folder))}` stops it")
    else:
        serve_folder(folder, listen=listen, port=port, take_over=take_over, on_ready=_print_address)


def _print_address(cluster: Cluster) -> None:
    reach = "this host only" if cluster.is_local else "other hosts too, with the password"
    show(f"PostgreSQL serves {cluster.host}:{cluster.port} to {reach}; data in {cluster.data}")
    show(f"address for workers: {READY}{quote(str(cluster.address_file))}")
