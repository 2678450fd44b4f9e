"""`hpo db serve`: a PostgreSQL server from a folder."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.errors import StorageError, UsageError
from hpo.launch.server.cluster import Cluster
from hpo.launch.server.serve import serve as serve_folder
from hpo.launch.server.serve import serve_in_background, stop_server

DEFAULT_FOLDER = Path("hpo-database")


@click.command()
@click.argument("folder", metavar="[DIR]", default=DEFAULT_FOLDER, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--listen",
    metavar="ADDR",
    help="Address to listen on; 0.0.0.0 lets workers on other hosts in, with the password.  [default: as it was "
    "last, else 127.0.0.1]",
)
@click.option(
    "--port", metavar="N", type=click.IntRange(1024, 65535), help="[default: as it was last, else any free one]"
)
@click.option("--background", is_flag=True, help="Return as soon as it serves, and leave it running.")
@click.option("--stop", "stopping", is_flag=True, help="End the server of DIR, wherever on this host it was started.")
def serve(folder: Path, listen: str | None, port: int | None, background: bool, stopping: bool) -> None:
    """Serve a PostgreSQL from DIR, without any rights on this host.

    Until Ctrl-C. DIR is hpo-database by default. It is created at the first start, with a random password; DIR/address
    holds the address for `--storage @DIR/address`.
    """
    if stopping and background:
        raise UsageError("--stop and --background exclude each other")
    if stopping:
        if not stop_server(folder):
            raise StorageError(f"no server runs for {folder}")
        print(f"the server of {folder} has ended")
    elif background:
        process = serve_in_background(folder, listen=listen, port=port)
        print((folder / "serve.log").read_text().strip())
        print(f"it runs on as process {process}; `hpo db serve --stop {folder}` ends it")
    else:
        serve_folder(folder, listen=listen, port=port, on_ready=_print_address)


def _print_address(cluster: Cluster) -> None:
    reach = "this host only" if cluster.is_local else "other hosts too, with the password"
    print(f"PostgreSQL serves {cluster.host}:{cluster.port} to {reach}; data in {cluster.data}")
    print(f"workers find it by the address file: --storage @{cluster.address_file}", flush=True)
