"""`hpo data fetch|verify|list`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from hpo.cli.completion import complete_datasets
from hpo.cli.options import data_dir_option, json_option, print_json
from hpo.errors import DataError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from hpo.study.catalogue import Dataset


@click.group()
def data() -> None:
    """Fetch, verify and list the MedMNIST files."""


@data.command()
@click.argument("datasets", nargs=-1, metavar="[DATASET]...", shell_complete=complete_datasets)
@data_dir_option
def fetch(datasets: tuple[str, ...], data_dir: str | None) -> None:
    """Download datasets (all seven if none is named); goes on where it was cut off, and checks the MD5."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from hpo.data.download import fetch as download
    from hpo.data.folder import data_folder

    folder = data_folder(data_dir)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as bars:
        for dataset in _named(datasets):
            bar = bars.add_task(dataset.name, total=None)
            path = download(dataset, folder, progress=partial(_advance, bars, bar))
            bars.update(bar, description=f"{dataset.name} ok")
            print(path)


@data.command()
@click.argument("datasets", nargs=-1, metavar="[DATASET]...", shell_complete=complete_datasets)
@data_dir_option
@json_option
def verify(datasets: tuple[str, ...], data_dir: str | None, as_json: bool) -> int:
    """Check MD5 and form of files, all of them; exit code 4 if one is not right."""
    from hpo.data.files import file_state
    from hpo.data.folder import data_folder

    folder = data_folder(data_dir)
    states = [file_state(dataset, folder) for dataset in _named(datasets)]
    if as_json:
        print_json([{**vars(state), "path": str(state.path)} for state in states])
    faults = [state for state in states if state.detail]
    for state in states:
        if state.detail:
            print(f"hpo: {state.detail}", file=sys.stderr)
        elif not as_json:
            print(f"{state.dataset}: ok")
    return DataError.exit_code if faults else 0


@data.command("list")
@data_dir_option
@json_option
def list_(data_dir: str | None, as_json: bool) -> None:
    """Show every dataset, its rows, and the state of its file."""
    from rich.console import Console
    from rich.table import Table

    from hpo.data.files import file_state
    from hpo.data.folder import data_folder
    from hpo.study.catalogue import DATASETS

    folder = data_folder(data_dir)
    states = [file_state(dataset, folder) for dataset in DATASETS]
    if as_json:
        print_json([{**vars(state), "path": str(state.path)} for state in states])
        return
    table = Table("dataset", "dims", "labels", "train / val / test rows", "published AUC", "state", title=str(folder))
    for dataset, state in zip(DATASETS, states, strict=True):
        published = f"{dataset.published_auc:.3f}" if dataset.published_auc else "-"
        rows = " / ".join(map(str, dataset.rows))
        table.add_row(dataset.name, str(dataset.dimensions), str(dataset.labels), rows, published, state.state)
    Console().print(table)


def _advance(bars: Progress, bar: TaskID, done: int, total: int | None) -> None:
    bars.update(bar, completed=done, total=total)


def _named(names: tuple[str, ...]) -> list[Dataset]:
    from hpo.study.catalogue import DATASETS, find_dataset

    return [find_dataset(name) for name in names] or [d for d in DATASETS if d.md5]
