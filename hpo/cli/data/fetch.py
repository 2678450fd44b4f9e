"""Implement `hpo data fetch`: download datasets."""

from __future__ import annotations

import click

from hpo.cli.common import data_dir_option, datasets_argument
from hpo.cli.data.named import named
from hpo.cli.render.progress import download_bars
from hpo.cli.streams import show
from hpo.data.download import fetch as download
from hpo.data.folder import data_folder


@click.command()
@datasets_argument
@data_dir_option
def fetch(datasets: tuple[str, ...], data_dir: str | None) -> None:
    """Download datasets, all seven if none is named.

    Resumes an interrupted download, and checks the MD5.
    """
    folder = data_folder(data_dir)
    with download_bars() as bar:
        for dataset in named(datasets):
            with bar(dataset.name) as progress:
                path = download(dataset, folder, progress=progress)
            show(path)
