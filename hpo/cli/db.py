"""`hpo db init|check|upgrade|backup|restore|copy|serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import json_option, print_json, storage_option

if TYPE_CHECKING:
    from hpo.launch.server.cluster import Cluster

DEFAULT_FOLDER = Path("hpo-database")


@click.group()
def db() -> None:
    """Make, look after and serve the database of studies."""


@db.command()
@storage_option
def init(storage: str | None) -> None:
    """Make the tables in an empty database; does nothing where they are."""
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database

    database = open_database(resolve_address(storage), create=True)
    print(f"{database.address} is ready")
    database.close()


@db.command()
@storage_option
@json_option
def check(storage: str | None, as_json: bool) -> int:
    """Tell what the database is, and whether this hpo can work on it; exit code 5 if it cannot."""
    from hpo.errors import StorageError
    from hpo.search.admin.check import check_database
    from hpo.search.database.address import resolve_address

    found = check_database(resolve_address(storage))
    if as_json:
        print_json(found)
    else:
        for name, value in found.lines():
            print(f"{name:<12} {value}")
        for problem in found.problems:
            print(f"hpo: {problem}", file=sys.stderr)
    return StorageError.exit_code if found.problems else 0


@db.command()
@storage_option
def upgrade(storage: str | None) -> None:
    """Bring the tables, hpo's and Optuna's, to the versions installed here; end all workers first."""
    from hpo.search.admin.migrations import upgrade as upgrade_tables
    from hpo.search.database.address import resolve_address, shown

    url = resolve_address(storage)
    done = upgrade_tables(url)
    changes = [f"hpo's tables from version {done.before} to {done.after}"] if done.before != done.after else []
    changes += ["Optuna's tables"] if done.optuna else []
    print(f"{shown(url)}: upgraded {' and '.join(changes)}" if changes else f"{shown(url)} is up to date")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@storage_option
def backup(file: Path, storage: str | None) -> None:
    """Write the whole database, as of one moment, to FILE, a SQLite file that `hpo db restore` and every command reads.

    Workers may go on meanwhile.
    """
    from hpo.search.admin.backup import backup as write_backup
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database

    database = open_database(resolve_address(storage), create=False)
    with _bars() as progress:
        rows = write_backup(database, file, progress)
    print(f"{file}: {rows} rows of {database.address}")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@storage_option
def restore(file: Path, storage: str | None) -> None:
    """Write what FILE, a backup, holds into an empty database, on any kind of server or none."""
    from hpo.search.admin.backup import restore as read_backup
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database

    database = open_database(resolve_address(storage), create=True)
    with _bars() as progress:
        rows = read_backup(file, database, progress)
    print(f"{database.address}: {rows} rows of {file}")


@db.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--to", "target", metavar="URL", required=True, help="Database to copy to: an address, or @FILE.")
@click.option("--name", metavar="NAME", help="Name of the copy.  [default: STUDY]")
@storage_option
def copy(study_name: str, target: str, name: str | None, storage: str | None) -> None:
    """Copy STUDY with all its trials to another database, where it goes on; running trials become free."""
    from hpo.search.admin.copy import copy_study
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import check_name, open_study

    check_name(name or study_name)
    study = open_study(open_database(resolve_address(storage), create=False), study_name)
    there = open_database(resolve_address(target), create=True)
    with _bars() as progress:
        trials = copy_study(study, there, name or study_name, progress)
    print(f"{there.address}: study {name or study_name} with {trials} trials")


@db.command()
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
    """Serve a PostgreSQL from DIR until Ctrl-C, without any rights on this host; DIR is hpo-database by default.

    It is made at the first start, with a random password; DIR/address holds the address for `--storage @DIR/address`.
    """
    from hpo.errors import StorageError, UsageError
    from hpo.launch.server.serve import serve as serve_folder
    from hpo.launch.server.serve import serve_in_background, stop_server

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
        serve_folder(folder, listen=listen, port=port, on_ready=_tell_address, tell=_tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell_address(cluster: Cluster) -> None:
    reach = "this host only" if cluster.is_local else "other hosts too, with the password"
    print(f"PostgreSQL serves {cluster.host}:{cluster.port} to {reach}; data in {cluster.data}")
    print(f"workers find it by the address file: --storage @{cluster.address_file}", flush=True)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each table with rows, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True)
    ) as bars:
        tasks: dict[str, Any] = {}

        def progress(table: str, done: int, total: int) -> None:
            if total and table not in tasks:
                tasks[table] = bars.add_task(table, total=total)
            if table in tasks:
                bars.update(tasks[table], completed=done)

        yield progress
